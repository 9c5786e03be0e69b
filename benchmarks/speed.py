"""Speed against every peer that is installed, at the same filter, in one run.

    pip install -e '.[benchmark]'
    python benchmarks/speed.py [--rows grey,colour] [--threads 2] [--runs 15] [--large]
                               [--markdown FILE] [--json FILE]

Every peer gets the parameters that make its weights equal to ours (`peers.py`), its own input type
and as many threads as we. Runs are interleaved and medians compared; the kernels are compiled
anew first, in a folder of their own. The outputs are compared, so that a fast wrong answer would
show. BM3D takes part where it is installed, FFmpeg from the path or from imageio-ffmpeg.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rows import Row

ROWS = (
    "grey", "colour", "volume", "clip", "drop_in", "drop_in_slow", "own", "limit", "command",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", default=",".join(ROWS), help=f"of {', '.join(ROWS)}")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--large", action="store_true", help="100 megapixels, and their memory")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    chosen = options.rows.split(",") if options.rows else []
    if unknown := set(chosen) - set(ROWS):
        parser.error(f"no row is called {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    if options.large:
        chosen.append("large")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["NUMBA_CACHE_DIR"] = cache  # before the first import of Numba
        import rows

        report({name: getattr(rows, name) for name in chosen}, options)


def report(rows: "dict[str, Row]", options: argparse.Namespace) -> None:
    """Print the rows' tables one by one, then write them all where the options say."""
    from measure import environment

    around = environment(options.threads)
    versions = ", ".join(f"{name} {version}" for name, version in around["versions"].items())
    pieces = [
        f"{around['processor']}, {around['cores']} cores, {around['usable_cores']} of them usable, "
        f"{around['threads']} threads; {around['system']}, Python {around['python']}; {versions}."
    ]
    print(pieces[0], flush=True)
    tables = []
    for name, row in rows.items():
        table = row(options.threads, options.runs)
        tables.append({"row": name, **table.record()})
        pieces.append(str(table))
        print(f"\n{table}", flush=True)
    if options.markdown:
        options.markdown.write_text("\n\n".join(pieces) + "\n")
    if options.json:
        options.json.write_text(json.dumps({**around, "tables": tables}, indent=1))


if __name__ == "__main__":
    main()
