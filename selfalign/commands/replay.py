"""``selfalign replay RUN/reproducer.pt``: where the step that stopped a run first gave no number."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from selfalign.console import one_line, say, warn
from selfalign.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """The command; 0 if the step gives numbers here, 1 if it is reproduced, 2 for a bad file."""
    file = _parser().parse_args(arguments).file
    from selfalign.engine.replaying import replay
    from selfalign.runs.reproduction import read_reproduction

    try:
        lines, finite = replay(read_reproduction(file))
    except UserError as error:
        warn(one_line(error))
        return 2
    say("\n".join(lines))
    return 0 if finite else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="selfalign replay", description=__doc__)
    parser.add_argument("file", type=Path, help="reproducer.pt of a run folder")
    return parser


if __name__ == "__main__":
    sys.exit(main())
