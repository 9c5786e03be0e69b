"""Pairwise functions f(x_i, x_j): each is three traits and two embeddings.

    f = weight(scale * score(query_i, key_j) + bias_j),    C = a sum of f, or the number of keys

Fast paths follow from the traits, never from a name. A new function with known traits is one
definition here and one line in PAIRWISE.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from nlmeans.base.arrays import real_array
from nlmeans.base.checks import (
    LARGEST_NUMBER,
    SMALLEST_NUMBER,
    ParameterError,
    check_choice,
    check_number,
)
from nlmeans.operation.embed import (
    PATCH_WEIGHTINGS,
    Embedding,
    Identity,
    Linear,
    Patches,
    PatchWeighting,
)
from nlmeans.operation.maps import Maps, is_map, maps_of

Centre = Literal["as computed", "one", "max", "zero"]
CENTRES = ("one", "max", "zero")
Arithmetic = Literal["exact", "scikit-image"]
ARITHMETICS = ("exact", "scikit-image")


@dataclass(frozen=True)
class Pairwise:
    """A pairwise function by its traits.

    Attributes
    ----------
    name : str
    score : {"distance", "dot", "sum"}
        Of query q and key k: -max(|q - k|^2 - noise, 0), q . k, or q + k (one number each).
    weight : {"exp", "identity", "relu"}
        Of the scaled score.
    normaliser : {"sum", "count", "query sum"}
        C: the sum of f over S(i), the number of keys in S(i), or, for every key j apart, the sum
        of f(x_i, x_j) over the i that have j in S(i): a softmax over the queries. Where a sum of
        "relu" weights is 0, so is y_i.
    query, key : embedding
    scale : float
        Factor of the score: 1/h^2 for the Gaussian, 1/sqrt(d) for scaled attention.
    noise : float
        For "distance": 2 sigma^2, the squared distance that noise alone puts between two
        copies of one patch.
    centre : {"as computed", "one", "max", "zero"}
        The weight a position gives to itself: f(x_i, x_i), 1, the largest of the others, 0.
    key_bias : embedding with one output, optional
        Added to the scaled score of every pair with this key.
    cut : float, 0 to 1
        Weights "exp" below this are 0, as several programs have it. Where all of a position's
        others are, it keeps its value; the centre is therefore not "as computed".
    arithmetic : {"exact", "scikit-image"}
        "scikit-image": as the slow mode of that program computes a Gaussian of patches, by
        `nlmeans.operation.scores`: exp is rough, and a weight is 0 not where all of the patch says
        so, but where its first rows do, along the first axis, however many but all:
        -scale (sum over them - noise) < log(cut). The centre is "one", which is here the weight of
        the distance 0.
    maps : Maps, optional
        Of sigma and h, for the Gaussian of a distance: every pair takes sigma_i^2 + sigma_j^2 off
        as well, and divides by h_i h_j.
    """

    name: str
    score: Literal["distance", "dot", "sum"]
    weight: Literal["exp", "identity", "relu"]
    normaliser: Literal["sum", "count", "query sum"]
    query: Embedding = Identity()
    key: Embedding = Identity()
    scale: float = 1.0
    noise: float = 0.0
    centre: Centre = "as computed"
    key_bias: Embedding | None = None
    cut: float = 0.0
    arithmetic: Arithmetic = "exact"
    maps: Maps | None = None

    def __post_init__(self) -> None:
        check_choice("score", self.score, ("distance", "dot", "sum"))
        check_choice("weight", self.weight, ("exp", "identity", "relu"))
        check_choice("normaliser", self.normaliser, ("sum", "count", "query sum"))
        check_choice("centre", self.centre, ("as computed", *CENTRES))
        low, above = (0.0, True) if self.score == "distance" else (-math.inf, False)
        numbers = {
            "noise": check_number("noise", self.noise, low=0),
            "scale": check_number("scale", self.scale, low=low, above=above),
            "cut": check_number("cut", self.cut, low=0, high=1),
        }
        for name, number in numbers.items():
            object.__setattr__(self, name, number)
        if self.weight == "identity" and self.normaliser != "count":
            raise ParameterError(
                f"normaliser is {self.normaliser!r} for weights of either sign; only 'count' "
                "divides them"
            )
        classical = (self.score, self.weight, self.normaliser) == ("distance", "exp", "sum")
        if self.cut and not classical:
            raise ParameterError(
                f"cut is {self.cut!r}; it is for the Gaussian of a distance, with C its sum"
            )
        if self.maps is not None and not classical:
            raise ParameterError(
                "maps are given; they are for the Gaussian of a distance, with C its sum"
            )
        if self.cut and self.centre == "as computed":
            raise ParameterError(
                f"cut is {self.cut!r} and centre 'as computed': where all weights are below it "
                "nothing is left to average; use centre 'one', 'max' or 'zero'"
            )
        check_choice("arithmetic", self.arithmetic, ARITHMETICS)
        if self.arithmetic != "exact" and not self._classical():
            raise ParameterError(
                f"arithmetic is {self.arithmetic!r}; it is for a Gaussian of patches with centre "
                "'one', no bias of the keys and no maps"
            )
        if self.centre != "as computed" and (self.weight, self.normaliser) != ("exp", "sum"):
            raise ParameterError(
                f"centre is {self.centre!r} for weight {self.weight!r} and normaliser "
                f"{self.normaliser!r}; only 'exp' with 'sum' allows it"
            )

    def _classical(self) -> bool:
        traits = (self.score, self.weight, self.normaliser, self.centre)
        of_patches = isinstance(self.query, Patches) and self.query.weighting != "none"
        alike = self.query == self.key and self.key_bias is None and self.maps is None
        return traits == ("distance", "exp", "sum", "one") and of_patches and alike

    def __str__(self) -> str:
        alike = self.query == self.key
        q, k = ("Q_i", "Q_j") if alike else ("theta_i", "phi_j")
        if self.maps is not None:
            scaled = f"-max(|{q} - {k}|^2 - sigma_i^2 - sigma_j^2, 0) / (h_i h_j)"
        elif self.score == "distance":
            scaled = f"-max(|{q} - {k}|^2 - {self.noise:g}, 0) / {1 / self.scale:g}"
        else:
            factor = "" if self.scale == 1 else f"{self.scale:g} * "
            scaled = factor + (f"{q} . {k}" if self.score == "dot" else f"({q} + {k})")
        if self.key_bias is not None:
            scaled += " + b_j"
        f = {"exp": f"exp({scaled})", "identity": scaled, "relu": f"max({scaled}, 0)"}[self.weight]
        where = f"Q = {self.query}" if alike else f"theta = {self.query}, phi = {self.key}"
        if self.key_bias is not None:
            where += f", b = {self.key_bias}"
        centre = "" if self.centre == "as computed" else f", weight of the centre: {self.centre}"
        cut = f", 0 below {self.cut:g}" if self.cut else ""
        arithmetic = ", as scikit-image computes it" if self.arithmetic != "exact" else ""
        return f"{self.name}: {f}{cut}, {where}{centre}{arithmetic}"


def gaussian(
    h: float | ArrayLike,
    sigma: float | ArrayLike = 0.0,
    patch_size: int | tuple[int, ...] = 1,
    *,
    patch_weighting: PatchWeighting = "uniform",
    centre: Literal["one", "max", "zero"] = "one",
    cut: float = 0.0,
    arithmetic: Arithmetic = "exact",
) -> Pairwise:
    """exp(-max(MSD - 2 sigma^2, 0)/h^2), MSD the mean squared difference of two patches.

    The mean runs over the patch's pixels and channels; patch_size 1 compares single positions.
    The Gaussian of the dot product, exp(x_i . x_j), is `embedded_gaussian()` without matrices.

    Parameters
    ----------
    h : float, 1e-150 to 1e150, or array of the grid's shape
        Width of the weight, in the array's units.
    sigma : float, from 0, or array of the grid's shape
        Standard deviation of the noise, in the array's units. Of a map of either, a pair has
        sigma_i^2 + sigma_j^2 in place of 2 sigma^2, and h_i h_j in place of h^2.
    patch_size : odd int, or one per axis
    patch_weighting : {"uniform", "gaussian", "off-centre"}
        See `Patches`.
    centre : {"one", "max", "zero"}
        A position's own weight: 1, the largest of the others (Buades), or 0. A position with no
        other candidate keeps its value. With "max" and "zero", pixels unlike all others are
        summed patch by patch in float64, which is slow if h is far below the noise.
    cut : float, 0 to 1
        Weights below this are 0: those of unlike patches, which together blur.
    arithmetic : {"exact", "scikit-image"}
        See `Pairwise`; another program's approximations, for its very pictures.

    Raises
    ------
    ParameterError
        If a number is out of its range, a size even, or a name unknown.

    Examples
    --------
    >>> import nlmeans
    >>> nlmeans.gaussian(h=10, sigma=20, patch_size=7).noise
    800.0
    """
    check_choice("centre", centre, CENTRES)
    check_choice("patch_weighting", patch_weighting, PATCH_WEIGHTINGS)
    patches = Patches(patch_size, patch_weighting)
    scale, noise, maps = 1.0, 0.0, None
    if is_map(h) or is_map(sigma):
        maps = maps_of(sigma, h)
    else:
        scale = 1 / check_number("h", h, low=SMALLEST_NUMBER, high=LARGEST_NUMBER) ** 2
        noise = 2 * check_number("sigma", sigma, low=0, high=LARGEST_NUMBER) ** 2
    return Pairwise(
        "gaussian",
        "distance",
        "exp",
        "sum",
        patches,
        patches,
        scale,
        noise,
        centre,
        cut=cut,
        arithmetic=arithmetic,
        maps=maps,
    )


def embedded_gaussian(
    theta: ArrayLike | Embedding | None = None,
    phi: ArrayLike | Embedding | None = None,
    *,
    scale: float = 1.0,
    key_bias: ArrayLike | Embedding | None = None,
    softmax: Literal["keys", "queries"] = "keys",
) -> Pairwise:
    """exp(scale * theta_i . phi_j + bias_j), C the sum of f: softmax attention.

    Parameters
    ----------
    theta, phi : array (d, C) or embedding, optional
        Query and key embedding; the position's channels by default.
    scale : float
        Factor of the logits, for example d**-0.5.
    key_bias : array (1, C) or embedding with one output, optional
        Added to the logits of a key: with -|Q_j|^2/h^2 the classical filter is of this form.
    softmax : {"keys", "queries"}
        What weights sum to 1 over: the keys j of every query i, or the queries i of every key j.

    Raises
    ------
    ValueError
        If a matrix is none or holds NaN, the scale is not finite, or softmax is another name.

    Examples
    --------
    >>> import nlmeans
    >>> f = nlmeans.embedded_gaussian(theta=[[1, 0]], phi=[[0, 1]], scale=0.5)
    >>> print(f)
    embedded gaussian: exp(0.5 * theta_i . phi_j), theta = W x (W 1x2), phi = W x (W 1x2)
    """
    scale = check_number("scale", scale)
    check_choice("softmax", softmax, ("keys", "queries"))
    return Pairwise(
        "embedded gaussian",
        "dot",
        "exp",
        "sum" if softmax == "keys" else "query sum",
        _embed(theta),
        _embed(phi),
        scale,
        key_bias=_bias(key_bias),
    )


def dot_product(
    theta: ArrayLike | Embedding | None = None,
    phi: ArrayLike | Embedding | None = None,
    *,
    scale: float = 1.0,
    key_bias: ArrayLike | Embedding | None = None,
) -> Pairwise:
    """scale * theta_i . phi_j + bias_j, C = N, the number of keys.

    Parameters and errors are those of `embedded_gaussian`.

    Examples
    --------
    >>> import nlmeans
    >>> nlmeans.Operation(nlmeans.dot_product())([1.0, 3.0]).tolist()
    [5.0, 15.0]
    """
    scale = check_number("scale", scale)
    return Pairwise(
        "dot product",
        "dot",
        "identity",
        "count",
        _embed(theta),
        _embed(phi),
        scale,
        key_bias=_bias(key_bias),
    )


def concatenation(
    w: ArrayLike,
    theta: ArrayLike | Embedding | None = None,
    phi: ArrayLike | Embedding | None = None,
    *,
    bias: float = 0.0,
) -> Pairwise:
    """ReLU(w . [theta_i, phi_j] + bias), C = N, the number of keys.

    Parameters
    ----------
    w : array (2 d,)
        The first half meets theta_i, the second phi_j.
    theta, phi : array (d, C) or embedding, optional
        Query and key embedding; the position's channels by default.
    bias : float

    Raises
    ------
    ValueError
        If w is no vector of even length, or a matrix is none or holds NaN.

    Examples
    --------
    >>> import nlmeans
    >>> nlmeans.Operation(nlmeans.concatenation(w=[1, -1]))([1.0, 3.0]).tolist()
    [0.0, 1.0]
    """
    vector = np.asarray(real_array("w", w), dtype=np.float64)
    if vector.ndim != 1 or len(vector) == 0 or len(vector) % 2:
        raise ValueError(f"w has shape {vector.shape}; a vector of even length (2 d,) is needed")
    left, right = np.split(vector[None], 2, axis=1)
    bias = check_number("bias", bias)
    return Pairwise(
        "concatenation",
        "sum",
        "relu",
        "count",
        Linear(left, of=_embed(theta)),
        Linear(right, [bias], of=_embed(phi)),
    )


class PairwiseFunctions(dict[str, Callable[..., Pairwise]]):
    """The pairwise functions f by name: each value makes a `Pairwise` of its parameters.

    Examples
    --------
    >>> import nlmeans
    >>> list(nlmeans.PAIRWISE)
    ['gaussian', 'embedded_gaussian', 'dot_product', 'concatenation']
    >>> nlmeans.PAIRWISE["gaussian"](h=10) == nlmeans.gaussian(h=10)
    True
    """


# For code that chooses by name and for the tests, which run them all.
PAIRWISE = PairwiseFunctions(
    {
        "gaussian": gaussian,
        "embedded_gaussian": embedded_gaussian,
        "dot_product": dot_product,
        "concatenation": concatenation,
    }
)


def _embed(value: ArrayLike | Embedding | None) -> Embedding:
    if value is None:
        return Identity()
    return value if isinstance(value, Identity | Linear | Patches) else Linear(value)


def _bias(value: ArrayLike | Embedding | None) -> Embedding | None:
    return None if value is None else _embed(value)
