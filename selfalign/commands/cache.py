"""``selfalign cache``: what was computed once and is kept (token ids, vocabularies, outputs of BERT), and clear it.

selfalign cache
selfalign cache --keep 10GB
selfalign cache --clear
"""

from __future__ import annotations

import argparse
import re
import sys
from functools import partial
from pathlib import Path

from selfalign.console import finished, say
from selfalign.errors import UserError, printable
from selfalign.files.kept import Kept, ago, beyond, delete, kept_files, kept_folder

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,3})?) ?([KMGT]?B)?", re.IGNORECASE)


def main(arguments: list[str] | None = None) -> int:
    """The command; 0, or 2 where something cannot be deleted."""
    options = _parser().parse_args(arguments)
    return finished(partial(_cache, options))


def _cache(options: argparse.Namespace) -> None:
    files = kept_files()
    if options.clear or options.keep is not None:
        gone = files if options.clear else beyond(files, _bytes(options.keep))
        freed = delete(gone)
        say(f"deleted {len(gone):,} of {len(files):,} files, {_size(freed)}")
        files = [kept for kept in files if kept not in gone]
    if not files:
        say(f"nothing is kept: {kept_folder()}")
        return
    say(_table(files))
    say(f"{len(files):,} files, {_size(sum(kept.bytes for kept in files))}")


def _table(files: list[Kept]) -> str:
    from tabulate import tabulate

    rows = [[ago(kept), _size(kept.bytes), kept.what, printable(kept.data, 60), _place(kept.path)] for kept in files]
    return tabulate(rows, ("used", "size", "what", "data", "file"), tablefmt="plain", disable_numparse=True)


def _place(path: Path) -> str:
    home = Path.home()
    return printable(f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path))


def _bytes(text: str) -> int:
    """A size as it is typed.

    Raises:
        UserError: if it is none.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UserError(f"--keep: expected a size as 10GB or 500MB, got {text!r}")
    return int(float(match[1]) * _UNITS[(match[2] or "").upper()])


def _size(count: int) -> str:
    return f"{count / 10**9:,.1f} GB" if count >= 10**9 else f"{count / 10**6:,.1f} MB"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="selfalign cache",
        description="List what was computed once and is kept, and clear it; it is computed again where it is needed. "
        "Not while a run that uses it is going on.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--keep", metavar="SIZE", help="delete what was not used for longest until so much is left: 10GB")
    what.add_argument("--clear", action="store_true", help="delete all of it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
