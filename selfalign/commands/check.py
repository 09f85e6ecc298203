"""Check everything that a run would need, before it runs: selfalign check data=coco backbone=camera.

Takes train.py's settings. Lists all that is wrong in all splits, and leaves nothing behind. Exit code 0 when nothing is
an error, 1 otherwise.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial

from selfalign.console import say


def main() -> None:
    """The command."""
    options = _parser().parse_intermixed_args()
    from selfalign.commands import hydra_app

    hydra_app.launch(partial(_check, options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="selfalign check", description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="read all values; otherwise above 512 MB a sample")
    parser.add_argument("--checksums", action="store_true", help="also read all files and compare them with SHA256SUMS")
    parser.add_argument("settings", nargs="*", help="as of train.py: data=coco backbone=vsrn data.root=DIR")
    return parser


def _check(options: argparse.Namespace) -> None:
    from selfalign.commands.composing import composed
    from selfalign.commands.readiness import inspect, report, words  # the libraries take seconds

    config = composed(options.settings)
    inspection = inspect(config, full=options.full, checksums=options.checksums)
    tokenizer = words(config, inspection)
    say(report(config, inspection, tokenizer))
    sys.exit(1 if inspection.errors else 0)


if __name__ == "__main__":
    main()
