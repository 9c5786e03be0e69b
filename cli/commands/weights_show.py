"""nlmeans weights show: which blocks a file holds, and what is read and assumed."""

from pathlib import Path
from typing import Any

import click
from nlmeans.cli.files import Report, each_file
from nlmeans.cli.learned import record_of, warnings_of
from nlmeans.cli.options.files import inputs_argument, json_option
from nlmeans.cli.options.weights import block_options


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
