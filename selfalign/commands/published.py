"""The published results beside your runs: selfalign published [RUN_DIR...] [--markdown].

A run stands beside a row only if it is exactly that setting: backbone, loss, data, protocol, padding=paper and the
published recipe. A run that comes near is named with what differs. Below stand other models of the field on the same
inputs.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from selfalign.commands.compare import write
from selfalign.console import say


def main() -> None:
    """The command."""
    options = _parser().parse_args()
    from selfalign.commands import hydra_app

    hydra_app.launch(partial(_show, options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="selfalign published", description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN_DIR", help="of train.py or eval.py, or of a sweep")
    parser.add_argument("--markdown", action="store_true", help="a table in Markdown")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write there instead of to the terminal")
    return parser


def _show(options: argparse.Namespace) -> None:
    from selfalign.reports.field_table import field_markdown, field_text
    from selfalign.reports.published_table import markdown, match, published, text
    from selfalign.runs.reading import read_runs

    table = published()
    runs = read_runs(options.runs)
    printed = (markdown if options.markdown else text)(table, match(table, runs, recipe), runs)
    printed += "\n" + (field_markdown if options.markdown else field_text)(table, runs)
    if options.out is None:
        say(printed.rstrip("\n"))
    else:
        write(printed, options.out)


@cache
def recipe(backbone: str, data: str, loss: str) -> Mapping[str, Any]:
    """The published configuration, which is the default of ``configs``."""
    from selfalign.commands.composing import composed

    return composed([f"backbone={backbone}", f"data={data}", f"loss={loss}", "padding=paper"])


if __name__ == "__main__":
    main()
