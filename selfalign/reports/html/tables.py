"""The table of a comparison as cells: every figure with its interval."""

from __future__ import annotations

from dataclasses import dataclass

from selfalign.reports.comparison.comparing import Comparison, Summary
from selfalign.reports.comparison.comparison_table import notes, sentence, span, spread
from selfalign.reports.html.charts import share
from selfalign.reports.metric_columns import shown_metrics
from selfalign.runs.reading import RSUM
from selfalign.runs.results import DIRECTIONS

SIDES = dict(zip(DIRECTIONS, ("image → text", "text → image"), strict=True))
_LETTERS = 26
BAR = 100.0
"""Width of the bar of an interval, in its own units."""


def sign(place: int) -> str:
    """What stands for a setting where its name would be too long: A, B … by its place in the table.

    Example:
        >>> sign(0), sign(27)
        ('A', '28')
    """
    return chr(ord("A") + place) if place < _LETTERS else str(place + 1)


@dataclass(frozen=True)
class Cell:
    """A figure; ``interval`` is empty where there is none."""

    label: str
    side: str
    value: str
    interval: str
    best: bool


@dataclass(frozen=True)
class Row:
    """A setting: its sign where there are several, its figures, and places of rsum and its interval in :data:`BAR`."""

    sign: str
    name: str
    seeds: str
    cells: tuple[Cell, ...]
    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class Table:
    """A comparison under one protocol."""

    protocol: str
    labels: tuple[str, ...]
    rows: tuple[Row, ...]
    differences: tuple[str, ...]
    notes: tuple[str, ...]


def table(comparison: Comparison) -> Table:
    """The settings, their differences from the baseline, and how to read both."""
    columns = [
        (f"{side}_{metric.name}", SIDES[side], metric.label, metric.digits, metric.higher)
        for side in DIRECTIONS
        for metric in shown_metrics()
    ] + [(RSUM, "", RSUM, 1, True)]
    summaries = comparison.summaries
    best = {
        name: (max if higher else min)(one.figures[name].mean for one in summaries) for name, _, _, _, higher in columns
    }
    ends = [end for one in summaries for end in one.intervals[RSUM]]

    def row(place: int, one: Summary) -> Row:
        cells = tuple(
            Cell(
                label,
                side,
                spread(one.figures[name], digits),
                span(one.intervals[name]) if name in one.intervals else "",
                len(summaries) > 1 and one.figures[name].mean == best[name],
            )
            for name, side, label, digits, _ in columns
        )
        places = (one.intervals[RSUM][0], one.figures[RSUM].mean, one.intervals[RSUM][1])
        low, middle, high = (round(share(value, min(ends), max(ends), BAR), 2) for value in places)
        return Row(
            sign(place) if len(summaries) > 1 else "", one.setting.name, one.setting.seeds, cells, low, middle, high
        )

    return Table(
        comparison.protocol,
        tuple(label for _, _, label, _, _ in columns),
        tuple(row(place, one) for place, one in enumerate(summaries)),
        tuple(sentence(comparison, one) for one in comparison.differences),
        tuple(notes(comparison)),
    )
