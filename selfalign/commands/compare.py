"""Compare runs on the same queries: selfalign compare RUN_DIR... [--against NAME] [--chart FILE.png].

Runs that differ in nothing but their seed are one setting; a folder of runs, as of a sweep, stands for all of them.
Prints means over seeds, bootstrap intervals over images and seeds, and each setting against a baseline.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from selfalign.console import one_line, say
from selfalign.errors import UserError
from selfalign.files.whole_files import write_whole


def main() -> None:
    """The command."""
    options = _parser().parse_args()
    try:
        _compare(options)
    except UserError as error:
        sys.exit(one_line(error))
    except KeyboardInterrupt:
        sys.exit("interrupted")


def _compare(options: argparse.Namespace) -> None:
    from selfalign.reports.comparison.comparing import compare
    from selfalign.reports.comparison.comparison_table import markdown, text
    from selfalign.reports.comparison.forest_plot import save_forest_plot
    from selfalign.reports.comparison.latex_table import latex
    from selfalign.runs.reading import read_runs

    comparison = compare(
        read_runs(options.runs),
        against=options.against,
        protocol=options.protocol,
        draws=options.draws,
        seed=options.seed,
    )
    printed = {"text": text, "markdown": markdown, "latex": latex}[options.format](comparison)
    if options.out is None:
        say(printed.rstrip("\n"))
    else:
        write(printed, options.out)
    if options.chart is not None:
        save_forest_plot(comparison, options.chart)


def write(printed: str, path: Path) -> None:
    """Write a text file.

    Raises:
        UserError: if it cannot be written.
    """
    try:
        write_whole(path, printed)
    except OSError as error:
        raise UserError(f"--out {path}: cannot be written ({error.strerror})") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="selfalign compare", description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN_DIR", help="of train.py or eval.py, or of a sweep")
    parser.add_argument("--against", metavar="NAME", help="the baseline: words of its name, or one of its run folders")
    parser.add_argument("--protocol", help="full, coco_1k_5fold; the first that all runs share by default")
    parser.add_argument("--draws", type=int, default=10_000, help="of the bootstrap and the sign flips; 10000")
    parser.add_argument("--seed", type=int, default=0, help="of the draws; 0")
    shown = parser.add_mutually_exclusive_group()
    parser.set_defaults(format="text")
    for name in ("markdown", "latex"):
        shown.add_argument(f"--{name}", dest="format", action="store_const", const=name, help=f"tables in {name}")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write there instead of to the terminal")
    parser.add_argument("--chart", type=Path, metavar="FILE.png", help="also draw a forest plot; .png, .pdf or .svg")
    return parser


if __name__ == "__main__":
    main()
