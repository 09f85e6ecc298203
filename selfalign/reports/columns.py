"""Rows in columns, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate


def columns(rows: Sequence[Sequence[str]], *, left: int = 1) -> list[str]:
    """One line a row; what a row lacks at its end stays empty.

    Args:
        rows: of cells, the header first where there is one.
        left: how many of the first columns start at the left; the others, which hold figures, end at the right.

    Example:
        >>> columns([["setting", "rsum"], ["camera", "507.2"], ["vsrn", "96.0"]])
        ['setting   rsum', 'camera   507.2', 'vsrn      96.0']
    """
    width = max(map(len, rows), default=0)
    full = [[*row, *[""] * (width - len(row))] for row in rows]
    sides = ["left" if place < left else "right" for place in range(width)]
    text = tabulate(full, tablefmt="plain", colalign=sides, disable_numparse=True, preserve_whitespace=True)
    return [line.rstrip() for line in text.split("\n")]
