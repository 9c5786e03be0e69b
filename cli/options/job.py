"""The options that decide what a file is filtered by, given to a command as one value."""

from collections.abc import Callable
from typing import Any

from nlmeans.cli.jobs import FilterOptions
from nlmeans.cli.like import PeerCall
from nlmeans.cli.options.files import memory_option, threads_option
from nlmeans.cli.options.filters import filter_options, method_options, noise_options, stack_option
from nlmeans.cli.options.selection import map_options, selection_options
from nlmeans.cli.options.types import SHARE, Parsed, gathered, option, together
from nlmeans.cli.options.weights import weights_options

FLAGS = {"true": True, "false": False}


def _peer_call(text: str) -> PeerCall:
    """PEER, or PEER:name=value,name=value."""
    from nlmeans.peers import KNOWN

    name_of_peer, _, rest = text.partition(":")
    peer = KNOWN.get(name_of_peer)
    if peer is None:
        raise ValueError(f"{name_of_peer!r} is unknown; there are {', '.join(KNOWN)}")
    parameters = peer.parameters
    names = [name for name, p in parameters.items() if p.kind is not p.KEYWORD_ONLY]
    given = {}
    for part in filter(None, rest.split(",")):
        name, _, value = part.partition("=")
        if name not in names:
            raise ValueError(f"{peer.name} has no {name!r}; it has {', '.join(names)}")
        given[name] = _value(value)
        flag = isinstance(parameters[name].default, bool)
        if flag != isinstance(given[name], bool):
            raise ValueError(
                f"{name} is {value!r}; give {'true or false' if flag else 'a number or name'}"
            )
    return PeerCall(peer, given)


def _value(text: str) -> bool | int | float | str:
    if text.lower() in FLAGS:
        return FLAGS[text.lower()]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


@option("--like", type=Parsed("PEER[:NAME=VALUE,...]", _peer_call), shown="this program's own")
def like_option() -> None:
    """Filter as another program does: opencv, skimage, ffmpeg, dipy, ipol or knlmeans, with its
    parameters, names, defaults and units, such as opencv:h=10,searchWindowSize=15. --h and --sigma
    may also be given separately. Prints the equivalent settings."""


@option("--amount", type=SHARE, default=1.0)
def amount_option() -> None:
    """Blend, a number from 0 (the original) to 1 (all denoised)."""


def job_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """All that `denoise` and `plan` have in common, as one `options`."""
    filters = (method_options, filter_options, map_options, noise_options, selection_options)
    others = (weights_options, like_option, stack_option, amount_option)
    each = (*filters, *others, threads_option, memory_option)
    return together(gathered("options", FilterOptions)(command), each)
