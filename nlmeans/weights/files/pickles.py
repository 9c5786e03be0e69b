"""A pickle machine that can only build dicts, lists, numbers, texts and arrays.

It walks the opcodes that the standard library's pickletools names. A global is never imported: it
is looked up in a table of names, most of which stand for functions of this package. Whatever is
not in the tables is refused by its name.
"""

import io
import pickletools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlmeans.weights.errors import Refusal
from nlmeans.weights.files.archives import Budget
from nlmeans.weights.files.stored import shaped

MOST_OPCODES = 1_000_000  # a checkpoint has some 20 a tensor
POINTER = 8  # bytes of one place in a list
PLAIN_KEYS = (str, int, float, bytes)


@dataclass(frozen=True)
class StandIn:
    """A global that may be called: what stands for it here."""

    function: Callable[..., Any]


class ArrayBeing:
    """A numpy.ndarray between its creation and the state that fills it."""

    array: NDArray[Any] | None = None

    def build(self, state: Any) -> None:
        match state:
            case (_, tuple(shape), DtypeBeing() as kind, fortran, bytes() | str() as raw):
                data = raw.encode("latin-1") if isinstance(raw, str) else raw
            case _:
                raise Refusal(
                    "holds an array in a form that cannot be read; save it with numpy.savez"
                )
        self.array = shaped("an array", data, kind.dtype, shape, fortran=bool(fortran))


@dataclass
class DtypeBeing:
    """A numpy.dtype, whose byte order comes with its state."""

    dtype: np.dtype[Any]

    def build(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
            self.dtype = self.dtype.newbyteorder(state[1])
        else:
            raise Refusal("holds a dtype in a form that cannot be read; save it with numpy.savez")


@dataclass
class Ordered:
    """An OrderedDict; attributes set on it, such as PyTorch's _metadata, are left out."""

    items: dict[Any, Any] = field(default_factory=dict)

    def build(self, state: Any) -> None:
        pass


def _dtype(code: Any, *_: Any) -> DtypeBeing:
    if not isinstance(code, str) or not re.fullmatch(r"[biufc][1248]|c16", code):
        kind = f"dtype {code[:20]!r}" if isinstance(code, str) else "no dtype"
        raise Refusal(f"holds an array of {kind}; only numbers are read")
    return DtypeBeing(np.dtype(code))


def _scalar(kind: Any, raw: Any) -> float:
    data = raw.encode("latin-1") if isinstance(raw, str) else raw
    if not (isinstance(kind, DtypeBeing) and isinstance(data, bytes)):
        raise Refusal("holds a NumPy number in a form that cannot be read")
    if len(data) != kind.dtype.itemsize or kind.dtype.kind == "c":
        raise Refusal(f"has {len(data)} bytes for a number of {kind.dtype}; the file is damaged")
    return float(np.frombuffer(data, kind.dtype)[0])


def _encode(text: Any, encoding: Any = "latin1", *_: Any) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise Refusal(
            f"encodes a {type(text).__name__} otherwise than texts in latin1; only so is read"
        )
    return text.encode("latin-1")


def _from_buffer(raw: Any, kind: Any, shape: Any, order: Any) -> ArrayBeing:
    """What protocol 5 makes of a contiguous array."""
    made = ArrayBeing()
    made.build((1, shape, kind, order == "F", raw))
    return made


def _ordered(pairs: Any = ()) -> Ordered:
    made = Ordered()
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise Refusal("holds an OrderedDict of something else than pairs; the file is damaged")
        put(made.items, *pair)
    return made


NUMPY: dict[str, Any] = {
    "collections.OrderedDict": StandIn(_ordered),
    "numpy.ndarray": "ndarray",
    "numpy.dtype": StandIn(_dtype),
    "_codecs.encode": StandIn(_encode),
}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    NUMPY[f"{_module}._reconstruct"] = StandIn(lambda *_: ArrayBeing())
    NUMPY[f"{_module}.scalar"] = StandIn(_scalar)
    NUMPY[f"{_module.replace('multiarray', 'numeric')}._frombuffer"] = StandIn(_from_buffer)


def put(target: dict[Any, Any], key: Any, value: Any) -> None:
    if not isinstance(key, PLAIN_KEYS):
        raise Refusal(
            f"has a dict key of type {type(key).__name__}; only texts and numbers are read"
        )
    target[key] = value


def read_pickle(
    file: io.BytesIO,
    budget: Budget,
    names: Mapping[str, Any] = NUMPY,
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """The object of the pickle that starts where the file stands; leaves it after its end.

    - `budget`: of which each copy takes what it is long.
    - `names`: what each global that may occur stands for.
    - `persistent`: turns a persistent id into an object.

    Raises Refusal for a damaged pickle, and for any opcode or global that weights do not need.
    """
    machine = _Machine(budget, names, persistent)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if count > MOST_OPCODES:
                raise Refusal(
                    f"has more than {MOST_OPCODES} pickle instructions; that is no weights"
                )
            machine.step(opcode.name, argument)
        return machine.result()
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, UnicodeError) as error:
        cause = " ".join(str(error).split())[:100]
        raise Refusal(f"is a damaged or truncated pickle ({cause}); fetch it again") from error


_MARK = object()
# Instructions that push their argument, and those that push the same each time.
ARGUMENTS = re.compile("BININT[12]?|LONG1|BINFLOAT|(SHORT_)?BIN(STRING|UNICODE|BYTES)|BINBYTES8")
CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": lambda: _MARK,
}


class _Machine:
    """The stack and the memo, and one step for an opcode."""

    def __init__(
        self, budget: Budget, names: Mapping[str, Any], persistent: Callable[[Any], Any] | None
    ) -> None:
        self.budget, self.names, self.persistent = budget, names, persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def result(self) -> Any:
        (result,) = self.stack
        return result

    def step(self, name: str, argument: Any) -> None:
        match name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case _ if ARGUMENTS.fullmatch(name):
                self.stack.append(argument)
            case _ if name in CONSTANTS:
                self.stack.append(CONSTANTS[name]())
            case "BYTEARRAY8":
                self.stack.append(bytes(argument))
            case "TUPLE":
                self.stack.append(tuple(self._since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                made = tuple(self._last(int(name[-1])))
                self.stack.append(made)
            case "APPEND":
                (value,) = self._last(1)
                self._top(list).append(value)
            case "APPENDS":
                values = self._since_mark()
                self._top(list).extend(values)
            case "SETITEM":
                self._set(self._last(2))
            case "SETITEMS":
                self._set(self._since_mark())
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = self._last_kept()
            case "MEMOIZE":
                self.memo[len(self.memo)] = self._last_kept()
            case "BINGET" | "LONG_BINGET":
                self.stack.append(self.memo[argument])
            case "GLOBAL":
                self.stack.append(self._named(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                self.stack.append(self._named(*self._last(2)))
            case "REDUCE":
                self._reduce(*self._last(2))
            case "BUILD":
                (state,) = self._last(1)
                self._count_copies(state)
                self._top((ArrayBeing, DtypeBeing, Ordered)).build(state)
            case "BINPERSID" if self.persistent is not None:
                (identity,) = self._last(1)
                self.stack.append(self.persistent(identity))
            case _:
                raise Refusal(
                    f"uses the pickle instruction {name}, which weights do not need; "
                    "nothing of it was executed"
                )

    def _last_kept(self) -> Any:
        if self.stack[-1] is _MARK:
            raise ValueError("a mark cannot be kept")
        return self.stack[-1]

    def _last(self, count: int) -> list[Any]:
        taken = self.stack[-count:]
        if len(taken) < count or any(value is _MARK for value in taken):
            raise ValueError("the stack is too short")
        del self.stack[-count:]
        return taken

    def _since_mark(self) -> list[Any]:
        for place in reversed(range(len(self.stack))):
            if self.stack[place] is _MARK:
                taken = self.stack[place + 1 :]
                del self.stack[place:]
                return taken
        raise ValueError("there is no mark")

    def _top(self, kind: Any) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise ValueError(f"a {type(self.stack[-1]).__name__} cannot be filled so")
        return self.stack[-1]

    def _set(self, flat: list[Any]) -> None:
        top = self._top((dict, Ordered))
        target = top.items if isinstance(top, Ordered) else top
        for key, value in zip(flat[::2], flat[1::2], strict=True):
            put(target, key, value)

    def _named(self, module: Any, name: Any) -> Any:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise ValueError("a global has no name")
        full = f"{module}.{name}"
        if full not in self.names:
            raise Refusal(
                f"asks for the global {full[:80]!r}, which weights do not need; nothing of it was "
                "executed: save the state_dict alone, or better as safetensors"
            )
        return self.names[full]

    def _reduce(self, function: Any, arguments: Any) -> None:
        if not isinstance(function, StandIn) or not isinstance(arguments, tuple):
            raise ValueError("calls what is no function")
        self._count_copies(arguments)
        self.stack.append(function.function(*arguments))

    def _count_copies(self, arguments: Any) -> None:
        """What is made of one text or list, which can be named again and again, may copy it."""
        if isinstance(arguments, tuple):
            for each in arguments:
                if isinstance(each, str | bytes):
                    self.budget.take(len(each), "copies")
                elif isinstance(each, list | tuple):
                    self.budget.take(POINTER * len(each), "copies")
