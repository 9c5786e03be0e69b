"""nlmeans weights from-image: weights out of one picture, without learning."""

from dataclasses import dataclass
from pathlib import Path

import click
from nlmeans.cli.files import Report, each_file, shown
from nlmeans.cli.options.files import inputs_argument, json_option, overwrite_option
from nlmeans.cli.options.types import (
    ABOVE_0,
    AUTO,
    FILE,
    SIGMA,
    SIZE,
    Sigma,
    Size,
    gathered,
    grey_range,
    option,
)
from nlmeans.cli.stacks import pages_of


@dataclass(frozen=True)
class PcaOptions:
    """What the weights are made by."""

    sigma: Sigma
    h: float | None
    patch_size: Size
    search_size: Size | None
    components: int | None


@option("--sigma", type=SIGMA, default=AUTO, shown="auto")
def sigma_option() -> None:
    """Noise level. auto estimates it. A number above 0 is the standard deviation in the file's grey
    levels. 0% to 100% is of the range."""


@option("--h", "h", type=ABOVE_0, shown="from sigma")
def h_option() -> None:
    """Filter strength, a number above 0 in grey levels."""


@option("--patch-size", type=SIZE, default=7)
def patch_option() -> None:
    """Side of the patches, in pixels, odd, 1 to 9999; NxM is height x width."""


@option("--search-size", type=SIZE, shown="from sigma")
def search_option() -> None:
    """Side of the window searched, in pixels, odd, 1 to 9999; NxM is height x width."""


@option("--components", type=click.IntRange(min=1), shown="by parallel analysis")
def components_option() -> None:
    """How many principal components distances are made of, from 1 to the patch's pixels."""


@click.command(
    "from-image",
    epilog="""\b
Examples:
  nlmeans weights from-image photo.png photo.safetensors
  nlmeans denoise photo.png --weights photo.safetensors""",
)
@inputs_argument(many=False)
@click.argument("output", metavar="OUTPUT", type=FILE)
@sigma_option
@h_option
@patch_option
@search_option
@components_option
@overwrite_option
@json_option
@gathered("options", PcaOptions)
def from_image(
    path: Path, output: Path, options: PcaOptions, overwrite: bool, as_json: bool
) -> int:
    """Write weights for INPUT as OUTPUT: its own principal components of patches as theta = phi.

    A native file, .safetensors or .npz. How many components count is found by comparing their
    variance with that of shuffled patches.
    """

    def work(path: Path) -> Report:
        from nlmeans import Linear
        from nlmeans.images import load
        from nlmeans.learning.pca import pca_weights
        from nlmeans.noise.level import estimate_sigma, joint_sigma
        from nlmeans.weights import save_weights
        from nlmeans.weights.save import check_weights_output

        check_weights_output(output, overwrite=overwrite, source=path)
        picture = load(path)
        pages = pages_of(picture, "auto")
        if pages.stack is not None:
            raise ValueError(f"holds {picture.pages} pages; weights are made from a single picture")
        axis = pages.layout["channel_axis"]
        level = options.sigma.level(picture.pixels)
        if level is None:
            level = joint_sigma(estimate_sigma(picture.colours, channel_axis=axis))
        block = pca_weights(
            picture.colours,
            level,
            h=options.h,
            patch_size=options.patch_size,
            search_size=options.search_size,
            components=options.components,
            channel_axis=axis,
        )
        save_weights(
            output, block, input_range=grey_range(picture.pixels), sigma=level, overwrite=overwrite
        )
        theta = block.operation.f.query
        assert isinstance(theta, Linear)
        count, pixels = theta.weight.shape
        strength = block.operation.f.scale**-0.5
        found = "estimated" if options.sigma.value is None else "given"
        return Report(
            f"{shown(path)} -> {shown(output)}: {count} of {pixels} components, "
            f"sigma {level:.4g} ({found}), h {strength:.4g}, {block.operation.over}",
            {
                "output": str(output),
                "components": count,
                "sigma": level,
                "sigma_estimated": options.sigma.value is None,
                "h": strength,
            },
        )

    return each_file([path], work, as_json=as_json)
