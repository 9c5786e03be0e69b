"""--like: another program's parameters, by the names that its own call has."""

from typing import Any

import click
from nlmeans.cli.like import PeerCall

FLAGS = {"true": True, "false": False}


class LikeType(click.ParamType[PeerCall]):
    """PEER, or PEER:name=value,name=value."""

    name = "like"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "PEER[:NAME=VALUE,...]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> PeerCall:
        from nlmeans.peers import KNOWN

        if isinstance(value, PeerCall):
            return value
        name_of_peer, _, rest = value.partition(":")
        peer = KNOWN.get(name_of_peer)
        if peer is None:
            self.fail(f"{name_of_peer!r} is unknown; there are {', '.join(KNOWN)}", param, ctx)
        parameters = peer.parameters
        names = [name for name, p in parameters.items() if p.kind is not p.KEYWORD_ONLY]
        given = {}
        for part in filter(None, rest.split(",")):
            name, _, text = part.partition("=")
            if name not in names:
                self.fail(f"{peer.name} has no {name!r}; it has {', '.join(names)}", param, ctx)
            given[name] = _value(text)
            flag = isinstance(parameters[name].default, bool)
            if flag != isinstance(given[name], bool):
                allowed = "true or false" if flag else "a number or name"
                self.fail(f"{name} is {text!r}; give {allowed}", param, ctx)
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


like_option = click.option(
    "--like",
    type=LikeType(),
    default=None,
    show_default="this program's own",
    help="Filter as another program does: opencv, skimage, ffmpeg, dipy, ipol or knlmeans, with "
    "its parameters, names, defaults and units, such as opencv:h=10,searchWindowSize=15. --h and "
    "--sigma may stand outside. Prints what it became.",
)
