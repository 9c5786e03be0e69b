"""nlmeans weights convert: any layout to the project's own file."""

from pathlib import Path
from typing import Any

import click
from nlmeans.cli.files import Report, each_file, shown
from nlmeans.cli.learned import assumptions, load, record_of
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
