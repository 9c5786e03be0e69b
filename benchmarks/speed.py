"""How fast is the classical filter beside every peer that is installed, at the same filter?

    pip install -e '.[benchmark]'
    python benchmarks/speed.py [--rows grey,colour] [--threads 2] [--runs 15] [--large]
                               [--markdown FILE] [--json FILE]

Data: scikit-image's pictures, made-up volumes and clips. Time: about 15 minutes.

Every peer gets the parameters that make its weights equal to ours (`peers.py`), its own input type
and as many threads as we. Runs are interleaved and medians compared; the kernels are compiled
anew first, in a folder of their own. The outputs are compared, so that a fast wrong answer would
show. BM3D takes part where it is installed, FFmpeg from the path or from imageio-ffmpeg. Each
table is a function of `rows.py`.
"""

import os
import tempfile
from pathlib import Path

from measure import options_of, report

ROWS = ("grey", "colour", "volume", "clip", "drop_in", "drop_in_slow", "own", "limit", "command")


def main() -> None:
    parser = options_of(__doc__)
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


if __name__ == "__main__":
    main()
