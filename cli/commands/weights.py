"""nlmeans weights: the group of commands on files of learned weights."""

from pathlib import Path
from typing import Any

import click
from nlmeans.cli.commands.weights_from_image import from_image
from nlmeans.cli.files import Report, each_file, shown
from nlmeans.cli.learned import assumptions, load, record_of, warnings_of
from nlmeans.cli.options.files import inputs_argument, json_option, overwrite_option
from nlmeans.cli.options.weights import block_options


@click.command(
    epilog="""\b
Examples:
  nlmeans weights convert net.pth nl1.safetensors --block module.nl_1
  nlmeans weights convert block.pt block.npz --set pairwise=dot_product"""
)
@inputs_argument(many=False)
@click.argument("output", metavar="OUTPUT", type=click.Path(path_type=Path))
@block_options
@overwrite_option
@json_option
def convert(
    path: Path,
    output: Path,
    layout: str | None,
    block: str | None,
    settings: tuple[tuple[str, Any], ...],
    overwrite: bool,
    as_json: bool,
) -> int:
    """Write one block of INPUT as OUTPUT, in the native format: .safetensors or .npz.

    Batch norm, gain and spectral norm are folded in, and what was assumed is written down.
    """

    def work(path: Path) -> Report:
        from nlmeans.weights import save_weights
        from nlmeans.weights.save import check_weights_output

        check_weights_output(output, overwrite=overwrite, source=path)
        loaded, notes = load(path, layout, block, settings)
        save_weights(output, loaded, overwrite=overwrite)
        name = f", block {loaded.name}" if loaded.name else ""
        return Report(
            f"{shown(path)} -> {shown(output)}: layout {loaded.layout}{name}, "
            f"{loaded.parameters} numbers{assumptions(loaded)}",
            {"output": str(output), **record_of(loaded)},
            notes,
        )

    return each_file([path], work, as_json=as_json)


@click.command(
    epilog="""\b
Examples:
  nlmeans weights show net.pth
  nlmeans weights show net.pth --block module.nl_1 --set pairwise=dot_product"""
)
@inputs_argument(many=True)
@block_options
@json_option
def show(
    inputs: tuple[Path, ...],
    layout: str | None,
    block: str | None,
    settings: tuple[tuple[str, Any], ...],
    as_json: bool,
) -> int:
    """Show the blocks in weights files: keys, roles, shapes, settings, assumptions.

    A setting that says ASSUMED is told neither by the file nor by its layout: --set gives it.
    """

    def work(path: Path) -> Report:
        from nlmeans.weights import load_blocks, load_weights

        with warnings_of(path) as notes:
            if block is None:
                each = load_blocks(path, layout, **dict(settings))
            else:
                each = [load_weights(path, layout, block=block, **dict(settings))]
        record = {
            "format": each[0].format,
            "parameters": sum(loaded.parameters for loaded in each),
            "blocks": [
                {
                    **record_of(loaded),
                    "parameters": loaded.parameters,
                    "tensors": [
                        {"role": r.role, "key": r.key, "shape": list(r.shape), "dtype": r.dtype}
                        for r in loaded.readings
                    ],
                    "sigma": loaded.sigma,
                    "notes": list(loaded.notes),
                }
                for loaded in each
            ],
        }
        return Report("\n\n".join(map(str, each)), record, tuple(notes))

    return each_file(inputs, work, as_json=as_json)


@click.group(
    epilog="""\b
Examples:
  nlmeans weights show net.pth
  nlmeans weights convert net.pth nl1.safetensors --block nl_1
  nlmeans weights from-image photo.png photo.safetensors"""
)
def weights() -> None:
    """Learned theta, phi, g and W_z: what a file holds, and in the project's own format.

    Files of PyTorch, Caffe2, Keras, TensorFlow (as npz) and MATLAB are read; nothing in them is
    ever executed.
    """


for command in (show, convert, from_image):
    weights.add_command(command)
