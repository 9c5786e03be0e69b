"""Whose weights can be read: every layout is plain data, one definition and one line in LAYOUTS.

A role is a part of the block: theta, phi, g, out (W_z), norm (after W_z), gain (a factor of W_z),
concat (w of the concatenation). A module path is what stands between a block's name and
".weight"; of several the one that is there counts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

SPACE = {1: (2,), 2: (2, 2), 3: (1, 2, 2)}  # pools that halve space and leave time


@dataclass(frozen=True)
class BlockLayout:
    """How one implementation names its tensors, and what it does that no tensor tells."""

    name: str
    source: str
    roles: Mapping[str, tuple[str, ...]]
    # the functions that the code knows, its default first
    pairwise: tuple[str, ...] = ("embedded_gaussian",)
    # of the logits of an embedded Gaussian: a number, or a power of d (the rows of theta) or C
    scale: str = "1"
    # keys of half the size in space, or of half the length once flattened
    pool: Literal["none", "space", "flat"] = "none"
    pool_order: Literal["before", "after"] = "after"  # the 1x1 convolutions phi and g
    # whether "phi.0" and "g.0" tell that there is a pool, and "phi" and "g" that there is none
    pool_told: bool = False
    softmax: Literal["keys", "queries"] = "keys"
    eps: float = 1e-5  # of the batch norm
    # whether a norm without running statistics is a factor and a shift, frozen in training
    affine: bool = False
    # whether the block's modules stand among others of the network, under its name too
    among: bool = False
    # the settings that the code's users choose, so that they can only be assumed here
    free: tuple[str, ...] = ()
    # applied to keys, to bring them to the form BLOCK.MODULE.TENSOR
    rewrites: tuple[tuple[str, str], ...] = ()
    at: str | None = None  # a pattern of block names that only this implementation has
    unless: str | None = None  # a pattern of keys within the block that another operation has
    remark: str | None = None


EVERY_F = ("embedded_gaussian", "dot_product", "concatenation", "gaussian")
EMBEDDED_OR_DOT = ("embedded_gaussian", "dot_product")

ALEXHEX7 = BlockLayout(
    "alexhex7",
    "github.com/AlexHex7/Non-local_pytorch",
    {
        "theta": ("theta",),
        "phi": ("phi.0", "phi"),
        "g": ("g.0", "g"),
        "out": ("W.0", "W"),
        "norm": ("W.1",),
        "concat": ("concat_project.0",),
    },
    pairwise=EVERY_F,
    pool="space",
    pool_told=True,
)

TSM = replace(
    ALEXHEX7,
    name="tsm",
    source="github.com/mit-han-lab/temporal-shift-module",
    roles={role: paths for role, paths in ALEXHEX7.roles.items() if role != "concat"},
    pairwise=("embedded_gaussian",),
    at=r"(^|\.)base_model\..*\.nl$",
)

RNAN = BlockLayout(
    "rnan",
    "github.com/yulunzhang/RNAN",
    {"theta": ("theta",), "phi": ("phi",), "g": ("g",), "out": ("W",)},
    softmax="queries",
    at=r"(^|\.)RA_MB\.",
    remark="one block of a network: RNAN feeds it features, not pixels",
)

MMCV = BlockLayout(
    "mmcv",
    "github.com/open-mmlab/mmcv (and mmaction2, mmsegmentation, mmdetection)",
    {
        "theta": ("theta.conv",),
        "phi": ("phi.0.conv", "phi.conv"),
        "g": ("g.0.conv", "g.conv"),
        "out": ("conv_out.conv",),
        "norm": ("conv_out.bn",),
        "concat": ("concat_project.conv",),
    },
    pairwise=EVERY_F,
    scale="d**-0.5",
    pool="space",
    pool_told=True,
    free=("scale",),
    unless=r"^conv_mask\.",
)

TEA1528 = BlockLayout(
    "tea1528",
    "github.com/tea1528/Non-Local-NN-Pytorch",
    {
        "theta": ("theta",),
        "phi": ("phi",),
        "g": ("g",),
        "out": ("W_z.0", "W_z"),
        "norm": ("W_z.1",),
        "concat": ("W_f.0",),
    },
    pairwise=EVERY_F,
)

VIDEO_NONLOCAL = BlockLayout(
    "video-nonlocal",
    "github.com/facebookresearch/video-nonlocal-net",
    {"theta": ("theta",), "phi": ("phi",), "g": ("g",), "out": ("out",), "norm": ("bn",)},
    pairwise=EMBEDDED_OR_DOT,
    scale="d**-0.5",
    pool="space",
    pool_order="before",
    eps=1.0000001e-5,
    affine=True,
    free=("scale", "pool", "group_frames"),
    rewrites=((r"_(theta|phi|g|out|bn)_(w|b|s|rm|riv)$", r".\1.\2"),),
    at=r"nonlocal",
)

SLOWFAST = BlockLayout(
    "slowfast",
    "github.com/facebookresearch/SlowFast and pytorchvideo",
    {
        "theta": ("conv_theta",),
        "phi": ("conv_phi",),
        "g": ("conv_g",),
        "out": ("conv_out",),
        "norm": ("bn", "norm"),
    },
    pairwise=EMBEDDED_OR_DOT,
    scale="d**-0.5",
    pool="space",
    pool_order="before",
    free=("pool", "group_frames"),
)

TIMM = BlockLayout(
    "timm",
    "github.com/huggingface/pytorch-image-models, NonLocalAttn",
    {"theta": ("t",), "phi": ("p",), "g": ("g",), "out": ("z",), "norm": ("norm",)},
    scale="C**-0.5",
    free=("scale",),
    unless=r"^gn\.",
)

NLRN = BlockLayout(
    "nlrn",
    "github.com/Ding-Liu/NLRN",
    {"theta": ("non_local_theta",), "phi": ("non_local_phi",), "g": ("non_local_g",)},
    among=True,
    remark="one step: NLRN feeds it batch-normalised features twelve times, and its first "
    "version also adds the logits of the step before",
)

SAGAN = BlockLayout(
    "sagan",
    "github.com/heykeetae/Self-Attention-GAN",
    {"theta": ("query_conv",), "phi": ("key_conv",), "g": ("value_conv",), "gain": ("gamma",)},
)

BIGGAN = BlockLayout(
    "biggan",
    "github.com/ajbrock/BigGAN-PyTorch",
    {"theta": ("theta",), "phi": ("phi",), "g": ("g",), "out": ("o",), "gain": ("gamma",)},
    pool="space",
)

KERAS = BlockLayout(
    "keras",
    "github.com/titu1994/keras-non-local-nets",
    {"theta": ("theta",), "phi": ("phi",), "g": ("g",), "out": ("out",)},
    pairwise=("embedded_gaussian", "dot_product", "gaussian"),
    pool="flat",
    free=("pairwise", "pool"),
    remark="layers are told apart by the order of their numbers alone",
)

BARE = BlockLayout(
    "plain",
    "arrays of your own, named theta, phi, g and out",
    {"theta": ("theta",), "phi": ("phi",), "g": ("g",), "out": ("out",), "norm": ("bn", "norm")},
    pairwise=EVERY_F,
    free=("scale", "pool", "softmax"),
    rewrites=(
        (r"(^|\.)(theta|phi|g|out)_(weight|bias)$", r"\1\2.\3"),
        (r"(^|\.)(theta|phi|g|out)$", r"\1\2.weight"),
    ),
)

# Name -> layout, in the order in which they are tried; the first that fits is taken.
LAYOUTS: dict[str, BlockLayout] = {
    "alexhex7": ALEXHEX7,
    "tsm": TSM,
    "rnan": RNAN,
    "mmcv": MMCV,
    "mmaction2": MMCV,
    "tea1528": TEA1528,
    "slowfast": SLOWFAST,
    "pytorchvideo": SLOWFAST,
    "timm": TIMM,
    "nlrn": NLRN,
    "sagan": SAGAN,
    "biggan": BIGGAN,
    "plain": BARE,
    "video-nonlocal": VIDEO_NONLOCAL,
    "keras": KERAS,
}


@dataclass(frozen=True)
class Other:
    """An operation with weights that look alike, which is not this one."""

    name: str
    keys: str  # a pattern of a key that it has
    reason: str


OTHERS = (
    Other("N3Net", r"n3aggregation|(^|\.)embedcnn\.", "its similarity is the distance of features "
          "that a network with its own temperature for every pixel makes, in k rounds of softmax"),
    Other("CSNLN", r"(^|\.)conv_match_(1|2|L_base)\b|(^|\.)conv_match1\.", "its embeddings pass "
          "through a PReLU, and it matches patches across scales (PANet has the same)"),
    Other("NLSN", r"(^|\.)conv_match\.0\.", "queries are the keys, of unit length, and are only "
          "compared within the buckets of a random hash"),
    Other("EDVR", r"(^|\.)temporal_attn[12]\.", "it weights each frame by the sigmoid of one "
          "product a pixel, and sums over no positions"),
    Other("Restormer", r"(^|\.)(qkv_dwconv\.|temperature$)", "its attention is between channels, "
          "not positions"),
    Other("CGNL", r"(^|\.)gn\.weight$", "it sums over positions and channels at once, in groups"),
    Other("timm bilinear", r"(^|\.)conv_[pq]\.", "BilinearAttnTransform attends to rows "
          "and columns apart; there is no theta_i . phi_j"),
    Other("DNL", r"(^|\.)conv_mask\.", "disentangled non-local blocks whiten theta and phi and add "
          "a second attention"),
    Other("SwinIR", r"relative_position_bias_table$", "its attention has several heads and a bias "
          "for every offset, in shifted windows"),
)  # fmt: skip
REFUSED = {re.sub(r"[\W_]", "", other.name.lower()): other for other in OTHERS}
REFUSED["panet"] = REFUSED["csnln"]
