"""nlmeans weights from-image: weights out of one picture, without learning."""

from pathlib import Path

import click
from nlmeans.cli.files import Report, each_file, shown
from nlmeans.cli.options.files import inputs_argument, json_option, overwrite_option
from nlmeans.cli.options.types import NumberType, Sigma, SigmaType, Size, SizeType, grey_range
from nlmeans.cli.stacks import pages_of


@click.command(
    "from-image",
    epilog="""\b
Examples:
  nlmeans weights from-image photo.png photo.safetensors
  nlmeans denoise photo.png --weights photo.safetensors""",
)
@inputs_argument(many=False)
@click.argument("output", metavar="OUTPUT", type=click.Path(path_type=Path))
@click.option(
    "--sigma",
    type=SigmaType(),
    default=Sigma(None),
    show_default="auto",
    help="Noise level: auto estimates it; a number above 0 is the standard deviation in the "
    "file's grey levels; 0% to 100% is of the range.",
)
@click.option(
    "--h",
    "h",
    type=NumberType(0, float("inf"), above=True),
    default=None,
    show_default="from sigma",
    help="Filter strength, a number above 0 in grey levels.",
)
@click.option(
    "--patch-size",
    type=SizeType(),
    default=7,
    show_default=True,
    help="Side of the patches, in pixels, odd, 1 to 9999; NxM is height x width.",
)
@click.option(
    "--search-size",
    type=SizeType(),
    default=None,
    show_default="from sigma",
    help="Side of the window searched, in pixels, odd, 1 to 9999; NxM is height x width.",
)
@click.option(
    "--components",
    type=click.IntRange(min=1),
    default=None,
    show_default="by parallel analysis",
    help="How many principal components distances are made of, from 1 to the patch's pixels.",
)
@overwrite_option
@json_option
def from_image(
    path: Path,
    output: Path,
    sigma: Sigma,
    h: float | None,
    patch_size: Size,
    search_size: Size | None,
    components: int | None,
    overwrite: bool,
    as_json: bool,
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
            message = f"holds {picture.pages} pages; weights are made from a single picture"
            raise ValueError(message)
        axis = pages.layout["channel_axis"]
        level = sigma.level(picture.pixels)
        if level is None:
            level = joint_sigma(estimate_sigma(picture.colours, channel_axis=axis))
        block = pca_weights(
            picture.colours,
            level,
            h=h,
            patch_size=patch_size,
            search_size=search_size,
            components=components,
            channel_axis=axis,
        )
        save_weights(
            output, block, input_range=grey_range(picture.pixels), sigma=level, overwrite=overwrite
        )
        theta = block.operation.f.query
        assert isinstance(theta, Linear)
        count, pixels = theta.weight.shape
        strength = block.operation.f.scale**-0.5
        found = "estimated" if sigma.value is None else "given"
        return Report(
            f"{shown(path)} -> {shown(output)}: {count} of {pixels} components, "
            f"sigma {level:.4g} ({found}), h {strength:.4g}, {block.operation.over}",
            {
                "output": str(output),
                "components": count,
                "sigma": level,
                "sigma_estimated": sigma.value is None,
                "h": strength,
            },
        )

    return each_file([path], work, as_json=as_json)
