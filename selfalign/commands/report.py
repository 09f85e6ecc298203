"""One page about runs, for a browser: selfalign report RUN_DIR... [--out FILE.html].

A single file that fetches nothing: tables with intervals, curves, recall by caption length, the hardest queries with
their pictures, word-region sheets, settings, versions and commands.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from selfalign import __version__
from selfalign.commands.compare import write
from selfalign.console import finished, say

NAME = "report.html"


def main() -> int:
    """The command."""
    options = _parser().parse_args()
    return finished(lambda: _report(options))


def _report(options: argparse.Namespace) -> None:
    from selfalign.files.plain_values import without_places
    from selfalign.reports.html.contents import report
    from selfalign.reports.html.page import page
    from selfalign.runs.reading import read_runs

    runs = read_runs(options.runs)
    found = report(runs, data=options.data, images=options.images, against=options.against)
    command = " ".join(["selfalign", "report", *(shlex.quote(without_places(word)) for word in sys.argv[1:])])
    path = options.out or (runs[0].folder / NAME if len(runs) == 1 else Path(NAME))
    text = page(found, command, __version__)
    write(text, path)
    say(f"{os.path.relpath(path)}: {len(text.encode()) / 1e6:.1f} MB; open it in a browser")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="selfalign report", description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN_DIR", help="of train.py or eval.py, or of a sweep")
    parser.add_argument(
        "--out", type=Path, metavar="FILE.html", help=f"RUN_DIR/{NAME}; of several runs {NAME} in the current folder"
    )
    parser.add_argument("--against", metavar="NAME", help="the baseline: words of its name, or one of its run folders")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="the evaluated data, where they have moved")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="the photographs, where they have moved")
    return parser


if __name__ == "__main__":
    sys.exit(main())
