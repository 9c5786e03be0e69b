"""From a user's array to planes of floats and back: axes, dtypes and rounding, in one place."""

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


class SupportsDLPack(Protocol):
    """An array of another library, as NumPy's `from_dlpack` takes it."""

    def __dlpack__(self, *, stream: None = ...) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...


_BLOCK = 1 << 16  # numbers looked at together
_SAMPLE = 1 << 12  # numbers, at most, that tell most other floats from scaled levels
_LARGEST_ERROR = 0.4  # of scaled levels, in levels: more would take any float for one
SUPPORTED = ("bool", "uint8", "uint16", "int16", "float16", "float32", "float64")


def checked_array(name: str, x: ArrayLike | SupportsDLPack) -> Array:
    """The argument as an array of a supported dtype, not empty and finite.

    Raises TypeError for any other dtype, or what `as_array` refuses. Raises ValueError if it is
    empty or holds NaN or infinity: the message counts them and names the first.
    """
    array = as_array(name, x)
    check_dtype(name, array.dtype)
    if array.size == 0:
        raise ValueError(
            f"{name} is empty: its shape is {array.shape}; every axis needs an element"
        )
    # The extremes tell without a mask as large as the array.
    if array.dtype.kind == "f" and not np.isfinite([array.min(), array.max()]).all():
        bad = np.argwhere(~np.isfinite(array))
        position = tuple(int(k) for k in bad[0])
        raise ValueError(
            f"{name} holds {len(bad)} NaN or infinite values, the first at {position}; "
            "replace them first"
        )
    return array


def as_array(name: str, x: ArrayLike | SupportsDLPack) -> Array:
    """The argument in NumPy's hands, over the same memory where `__array__` or DLPack gives it.

    Raises TypeError for masked elements, or a tensor that requires a gradient, lies outside the
    CPU's memory or has a dtype that NumPy lacks.
    """
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise TypeError(f"{name} is a masked array; fill or crop the masked elements first")
    if getattr(x, "requires_grad", False):
        raise TypeError(
            f"{name} requires a gradient, and none is computed here; pass {name}.detach()"
        )
    if not hasattr(x, "__dlpack__"):
        return np.asarray(x)
    try:
        return np.asarray(x) if hasattr(x, "__array__") else np.from_dlpack(x)  # type: ignore[arg-type]
    except (BufferError, RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise TypeError(
            f"{name} is a {type(x).__name__} that NumPy cannot read ({reason}); allowed are arrays "
            f"in the CPU's memory of dtype {', '.join(SUPPORTED)}"
        ) from error


def real_array(name: str, x: ArrayLike | SupportsDLPack) -> Array:
    """The array of `as_array`; complex numbers, of which a conversion keeps a half, are refused."""
    array = as_array(name, x)
    if array.dtype.kind == "c":
        raise TypeError(f"{name} holds complex numbers; only real ones are allowed")
    return array


def checked_axis(
    name: str, ndim: int, axis: int | None, argument: str = "channel_axis"
) -> int | None:
    """The axis of an array of `ndim` axes as a number from 0, or None."""
    if axis is None:
        return None
    if isinstance(axis, bool) or not isinstance(axis, int | np.integer):
        raise TypeError(f"{argument} is {axis!r}; allowed are None or a whole number")
    if not -ndim <= axis < ndim:
        raise ValueError(
            f"{argument} is {axis}, but {name} has {ndim} axes; allowed are {-ndim} to {ndim - 1}"
        )
    return int(axis) % ndim


def check_dtype(name: str, dtype: np.dtype[Any]) -> None:
    if dtype.name not in SUPPORTED:
        raise TypeError(
            f"{name} has dtype {dtype}; allowed are {', '.join(SUPPORTED)}; convert it with astype"
        )


def whole_range(dtype: np.dtype[Any]) -> float:
    """Highest minus lowest value of bool or an integer dtype: 255 for uint8."""
    if dtype.kind == "b":
        return 1.0
    limits = np.iinfo(dtype)
    return float(limits.max) - float(limits.min)


def check_shape(name: str, shape: object) -> tuple[int, ...]:
    """A shape of whole numbers above 0."""
    if not isinstance(shape, tuple | list) or not all(
        isinstance(n, int | np.integer) and n > 0 for n in shape
    ):
        raise ValueError(f"{name} is {shape!r}; it has to be a tuple of whole numbers above 0")
    return tuple(int(n) for n in shape)


def grid_shape(array_shape: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
    """The shape without the channel axis."""
    return array_shape if axis is None else array_shape[:axis] + array_shape[axis + 1 :]


def working_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """float64 for float64, else float32, which holds all other dtypes exactly."""
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def as_planes(array: Array, axis: int | None, dtype: np.dtype[Any]) -> Array:
    """(C, *grid) of the given float dtype, in the array's memory where it has that dtype."""
    planes = array[None] if axis is None else np.moveaxis(array, axis, 0)
    return planes.astype(dtype, copy=False)


def to_planes(array: Array, axis: int | None, dtype: np.dtype[Any]) -> Array:
    """The planes of `as_planes`, contiguous; the array itself where it already is."""
    return np.ascontiguousarray(as_planes(array, axis, dtype))


def image_planes(name: str, x: ArrayLike, channel_axis: int | None) -> Array:
    """An image, checked, as planes (C, H, W) in float64."""
    array = checked_array(name, x)
    axis = checked_axis(name, array.ndim, channel_axis)
    planes = to_planes(array, axis, np.dtype(np.float64))
    if planes.ndim != 3:
        raise ValueError(
            f"{name} has shape {array.shape}; an image has two axes besides channels, which "
            "channel_axis names"
        )
    return planes


def from_planes(planes: Array, axis: int | None) -> Array:
    """The inverse of `to_planes`, in the planes' dtype."""
    return planes[0] if axis is None else np.ascontiguousarray(np.moveaxis(planes, 0, axis))


def to_dtype(values: Array, dtype: np.dtype[Any]) -> Array:
    """Round, then clip to what the dtype holds; floats are only converted."""
    if dtype.kind == "f":
        return values.astype(dtype, copy=False)
    rounded = np.rint(values)
    if dtype.kind == "b":
        return rounded >= 1
    limits = np.iinfo(dtype)
    return np.clip(rounded, limits.min, limits.max, out=rounded).astype(dtype)


def whole_levels(image: Array) -> tuple[Array, float]:
    """Floats in [0, 1] that a picture of 8 to 16 bits was scaled to, as its levels, and their step.

    What picks patches by their values finds many alike in a picture of whole numbers; in scaled
    floats, rounding would order these, and another choice of patches gives another result.

    Returns
    -------
    levels : array of uint8 or uint16; the image itself where it is no such picture
    step : float
        From one level to the next, in the image's units: 1 / (2^bits - 1); 1 for the image itself.

    Examples
    --------
    >>> import numpy as np
    >>> whole_levels(np.array([0, 0.2, 1], np.float32))
    (array([  0,  51, 255], dtype=uint8), 0.00392156862745098)
    """
    if image.dtype.kind != "f":
        return image, 1.0
    step = math.ceil((image.size / _SAMPLE) ** (1 / image.ndim))
    sample = image[(slice(None, None, step),) * image.ndim]
    # Of a level divided, or multiplied by the step, relative to it: zero has to be exact.
    error = 1.5 * float(np.finfo(image.dtype).eps)
    for bits in range(8, 17):
        top = 2**bits - 1
        if error * top > _LARGEST_ERROR:
            break
        if not _are_levels(sample, top, error):
            continue
        levels = np.empty_like(image, np.uint8 if bits == 8 else np.uint16)
        blocks = np.nditer(
            [image, levels],
            ["external_loop", "buffered"],
            [["readonly"], ["writeonly"]],
            buffersize=_BLOCK,
        )
        with blocks:
            for values, found in blocks:
                if not _are_levels(values, top, error):
                    break
                found[...] = np.rint(np.multiply(values, top, dtype=np.float64))
            else:
                return levels, 1 / top
    return image, 1.0


def _are_levels(values: Array, top: int, error: float) -> bool:
    if values.min() < 0 or values.max() > 1:
        return False
    scaled = np.multiply(values, top, dtype=np.float64)
    levels = np.rint(scaled)
    return bool(np.all(np.abs(scaled - levels) <= error * levels))


def floats_held(dtype: np.dtype[Any], axis: int | None) -> float:
    """Floats a number of the array, at most, that turning it into planes and back takes."""
    held = 1.0  # the result
    if dtype.kind != "f" or dtype.itemsize < 4 or axis is not None:
        held += 1  # contiguous floats
    if axis is not None:
        held += 1  # the channels back where they were
    return held if dtype.kind == "f" and dtype.itemsize > 2 else held + 1.5  # rounded, converted


def blended(original: Array, filtered: Array, amount: float) -> Array:
    """`amount` of the filtered and the rest of the original, in the filtered one's float dtype."""
    if amount == 1:
        return filtered
    values = original.astype(filtered.dtype, copy=False)
    result: Array = values + filtered.dtype.type(amount) * (filtered - values)
    return result
