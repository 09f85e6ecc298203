"""A leaderboard as a table for a terminal and as leaderboard.csv."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from selfalign.files.whole_files import whole_file
from selfalign.reports.columns import columns
from selfalign.reports.leaderboard.standings import NOT_GIVEN, SELECTION, Leaderboard, Spread
from selfalign.reports.metric_columns import column_labels, metric_columns


def save_csv(board: Leaderboard, path: Path) -> None:
    """Write every figure of every row, unrounded."""
    names = list(dict.fromkeys(name for setting in board.rows for name in setting.figures))
    with whole_file(path) as made, made.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        columns = [f"{name}_{part}" for name in map(_column, names) for part in ("mean", "std")]
        writer.writerow(["best", *board.keys, "seeds_done", "seeds", "state", *columns])
        for place, setting in enumerate(board.rows):
            done = [str(job.seed) for job in setting.jobs if job.state == "done"]
            cells = [cell for name in names for cell in _cells(setting.figures.get(name))]
            best = "yes" if place in board.best else ""
            state = setting.trouble or "done"
            writer.writerow([best, *setting.values.values(), len(done), len(setting.jobs), state, *cells])


def _column(figure: str) -> str:
    return "val_selection" if figure == SELECTION else f"test_{figure}"


def _cells(spread: Spread | None) -> list[float | str]:
    if spread is None:
        return ["", ""]
    return [spread.mean, "" if spread.deviation is None else spread.deviation]


def table(board: Leaderboard) -> str:
    """The rows for a terminal, under a caption that says what they are ranked by."""
    header = ["", *(short_key(key, board.keys) for key in board.keys), "seeds", "val", "test rsum"]
    header += column_labels()
    rows = [header]
    for place, setting in enumerate(board.rows):
        mark = "*" if place in board.best else ""
        start = [mark, *map(short_value, setting.values.values()), f"{setting.done}/{len(setting.jobs)}"]
        if setting.selection is None:
            rows.append([*start, setting.trouble])
            continue
        shown = [_shown(setting.figures.get(name), digits) for name, digits in metric_columns().items()]
        rows.append([*start, str(setting.selection), str(setting.figures["rsum"]), *shown])
        if setting.trouble:
            rows[-1].append(setting.trouble)
    return "\n".join([*_caption(board), *_lines(rows, len(header))])


def _shown(spread: Spread | None, digits: int) -> str:
    return NOT_GIVEN if spread is None else f"{spread.mean:.{digits}f}"


def _caption(board: Leaderboard) -> list[str]:
    jobs = board.jobs
    done = [job for job in jobs if job.state == "done"]
    lines = ["", f"leaderboard: {len(board.rows)} settings, {len(done)} of {len(jobs)} jobs done"]
    lines += [
        "ranked by val, the validation R@1 + R@5 of both directions of each job's best checkpoint; * best",
        "test figures do not rank; mean ± sample standard deviation over seeds",
    ]
    if len({setting.gallery for setting in board.rows if setting.selection}) > 1:
        lines.append("the settings were validated on different data, which do not compare: the best of each is marked")
    seeds = {setting.done for setting in board.rows if setting.selection}
    if len(seeds) > 1:
        lines.append(f"* is among the settings with the most seeds done ({max(seeds)})")
    commits = {job.results["git_commit"] for job in done if job.results is not None}
    if len(commits) > 1:
        lines.append(f"the results are of {len(commits)} versions of the code: {', '.join(sorted(map(str, commits)))}")
    return [*lines, ""]


def _lines(rows: Sequence[Sequence[str]], figures: int) -> list[str]:
    """Rows in columns of one width; what a row says beyond its figures, or instead of them, is not aligned."""
    cells = [row[:figures] if len(row) >= figures else row[:-1] for row in rows]
    shown = columns(cells, left=0)
    ends = ["  ".join(["", *row[len(own) :]]) for row, own in zip(rows, cells, strict=True)]
    return [(line + end).rstrip() for line, end in zip(shown, ends, strict=True)]


def short_key(key: str, keys: Sequence[str]) -> str:
    """A key without what the table does not need to tell it from the others: ``concept.weight``."""
    parts = key.split(".")
    for start in range(max(0, len(parts) - 2), -1, -1):
        name = ".".join(parts[start:])
        if sum(other == name or other.endswith(f".{name}") for other in keys) == 1:
            return name
    return key


def short_value(value: str) -> str:
    """A value with four digits where it is a number that has more."""
    try:
        return f"{float(value):.4g}" if "." in value and len(value) > 6 else value
    except ValueError:
        return value
