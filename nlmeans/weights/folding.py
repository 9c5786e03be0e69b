"""From a block's tensors to matrices: axes, spectral norm, batch norm and gain."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nlmeans.weights.errors import Refusal
from nlmeans.weights.files.stored import Tensors
from nlmeans.weights.roles import FoundBlock

Matrix = NDArray[np.float64]


class BlockNumbers:
    """The numbers of one block, role by role, in float64; every refusal names the key."""

    def __init__(self, tensors: Tensors, found: FoundBlock) -> None:
        self.tensors, self.found = tensors, found
        self.axes = 0  # of the convolutions, besides the channels; 0 where there are none

    def has(self, role: str) -> bool:
        return role in self.found.paths

    def key(self, role: str, tensor: str) -> str | None:
        return self.found.keys.get((role, tensor))

    def weight_key(self, role: str) -> str:
        """The key of the role's weight, which is there."""
        return next(key for tensor in SPECTRAL if (key := self.key(role, tensor)) is not None)

    def _numbers(self, key: str) -> Matrix:
        return self.tensors.arrays[key].numbers(key)

    def matrix(self, role: str, inputs: int | None = None) -> Matrix:
        """W of a 1x1 convolution, (outputs, inputs)."""
        key = self.weight_key(role)
        weight = self._flat(key, reverse=self.key(role, "kernel") == key)
        if inputs is not None and weight.shape[1] != inputs:
            raise Refusal(
                f"{key} has shape {self.tensors.arrays[key].shape}: it takes {weight.shape[1]} "
                f"channels where there are {inputs}"
            )
        (normalised,) = {SPECTRAL[tensor] for tensor in SPECTRAL if self.key(role, tensor) == key}
        return normalised(self, role, weight)

    def _flat(self, key: str, reverse: bool) -> Matrix:
        """Without the axes of a 1x1 window, which stand last, or first in a kernel."""
        weight = self._numbers(key)
        shape = self.tensors.arrays[key].shape
        window = shape[:-2] if reverse else shape[2:]
        if len(shape) < 2 or len(shape) > 5 or 0 in shape:
            raise Refusal(f"{key} has shape {shape}; a 1x1 convolution or a matrix is needed")
        if any(n != 1 for n in window):
            size = "x".join(map(str, window))
            raise Refusal(f"{key} has a window of {size}; the operation has 1x1 convolutions alone")
        self.axes = max(self.axes, len(window))
        if reverse:
            return weight.reshape(weight.shape[-2:]).T
        return weight.reshape(weight.shape[:2])

    def bias(self, role: str, count: int) -> Matrix:
        key = self.key(role, "bias")
        return np.zeros(count) if key is None else self.vector(key, count)

    def vector(self, key: str, count: int) -> Matrix:
        vector = self._numbers(key)
        if vector.size != count or max(vector.shape, default=1) != count:
            raise Refusal(
                f"{key} has shape {vector.shape}; the weight it belongs to asks for {count}"
            )
        return vector.reshape(count)

    def out(self, channels: int, values: int, eps: float) -> tuple[Matrix, Matrix] | None:
        """W_z and its bias with batch norm, affine and gain folded in; None for the identity."""
        weight, bias = np.eye(channels, values), np.zeros(channels)
        if self.has("out"):
            weight = self.matrix("out", values)
            bias = self.bias("out", len(weight))
        elif not self.has("gain") and not self.has("norm"):
            return None
        if self.has("norm"):
            factor, shift = self._norm(len(weight), eps)
            weight, bias = factor[:, None] * weight, factor * bias + shift
        if self.has("gain"):
            gain = self.vector(self.found.keys["gain", "weight"], 1)
            weight, bias = gain * weight, gain * bias
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            key = self.weight_key("out") if self.has("out") else self.found.name
            raise Refusal(
                f"{key} with its norm and gain goes beyond all numbers; the file is damaged"
            )
        return weight, bias

    def _norm(self, count: int, eps: float) -> tuple[Matrix, Matrix]:
        """Batch norm as factor and shift; a frozen one, without statistics, is both already."""
        given = {
            tensor: self.vector(key, count)
            for tensor in ("weight", "bias", "mean", "var")
            if (key := self.key("norm", tensor)) is not None
        }
        if ("mean" in given) != ("var" in given):
            raise Refusal(
                f"{self.found.name}: {self.found.paths['norm']} has only one of mean and var"
            )
        factor = given.get("weight", np.ones(count))
        if "var" not in given and not self.found.layout.affine:
            key = self.key("norm", "weight") or self.key("norm", "bias")
            raise Refusal(
                f"{key} is of a norm without running statistics, which normalises by what it sees; "
                "only batch norm can be folded into W_z"
            )
        if "var" not in given:
            return factor, given.get("bias", np.zeros(count))
        if (given["var"] + eps <= 0).any():
            least = given["var"].min()
            raise Refusal(
                f"{self.key('norm', 'var')} holds {least:g}, which plus eps {eps:g} is not above "
                "0; give a larger eps, or fetch the file again"
            )
        factor = factor / np.sqrt(given["var"] + eps)
        return factor, given.get("bias", np.zeros(count)) - factor * given["mean"]


def _as_it_is(parts: BlockNumbers, role: str, weight: Matrix) -> Matrix:
    return weight


def _by_stored_vectors(parts: BlockNumbers, role: str, weight: Matrix) -> Matrix:
    """PyTorch's spectral_norm at inference: sigma = u . W v with the vectors as stored."""
    left, right = parts.key(role, "u"), parts.key(role, "v")
    if left is None or right is None:
        raise Refusal(f"{parts.found.name}: the spectral norm of {role} lacks weight_u or weight_v")
    u, v = parts.vector(left, len(weight)), parts.vector(right, weight.shape[1])
    return _divided(parts, role, weight, float(u @ weight @ v))


def _by_iteration(parts: BlockNumbers, role: str, weight: Matrix) -> Matrix:
    """One step of the power method from u, as these codes do even at inference."""
    key = parts.key(role, "u0") or parts.key(role, "u")
    if key is None:
        return weight
    v = weight.T @ parts.vector(key, len(weight))
    v = v / max(float(np.linalg.norm(v)), 1e-12)
    return _divided(parts, role, weight, float(np.linalg.norm(weight @ v)))


def _divided(parts: BlockNumbers, role: str, weight: Matrix, sigma: float) -> Matrix:
    if sigma == 0:
        raise Refusal(
            f"{parts.found.name}: the spectral norm of {role} is 0; it cannot be divided out"
        )
    if not np.isfinite(weight / sigma).all():
        raise Refusal(
            f"{parts.found.name}: the spectral norm of {role} is {sigma:g}: it is damaged"
        )
    return weight / sigma


# What the weight is called -> how it is normalised.
SPECTRAL: dict[str, Callable[[BlockNumbers, str, Matrix], Matrix]] = {
    "weight": _by_iteration,
    "kernel": _as_it_is,
    "spectral": _by_stored_vectors,
    "iterated": _by_iteration,
}
