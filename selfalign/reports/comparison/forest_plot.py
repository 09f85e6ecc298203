"""A comparison as a forest plot: the settings above, their differences from the baseline below."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from selfalign.errors import UserError
from selfalign.files.whole_files import whole_file
from selfalign.reports.comparison.comparing import Comparison, Difference, Summary
from selfalign.reports.comparison.comparison_table import probability, signed, span, spread
from selfalign.runs.reading import RSUM

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BLUE, _ORANGE, _GREY = "#0072b2", "#d55e00", "#8c8c8c"  # told apart by colour-blind eyes
_SUFFIXES = (".png", ".pdf", ".svg")
_ROW = 0.42
"""Inches."""


def save_forest_plot(comparison: Comparison, path: Path) -> None:
    """Draw it.

    Raises:
        UserError: if the name of the file is of no picture, or it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    if path.suffix not in _SUFFIXES:
        raise UserError(f"--chart {path}: expected a name that ends in {', '.join(_SUFFIXES)}")
    rows = len(comparison.summaries), len(comparison.differences)
    figure = Figure(
        figsize=(9.5, 2.0 + _ROW * sum(rows) + (1.1 if rows[1] else 0)), layout=ConstrainedLayoutEngine(h_pad=0.12)
    )
    FigureCanvasAgg(figure)
    panels = figure.subplots(2 if rows[1] else 1, 1, squeeze=False, height_ratios=[r + 0.6 for r in rows if r])[:, 0]
    _settings(panels[0], comparison)
    if rows[1]:
        _differences(panels[1], comparison)
    figure.suptitle(
        f"{comparison.images:,} images, {comparison.captions:,} captions, split {comparison.split}, "
        f"protocol {comparison.protocol}",
        fontsize=10,
        color="#444444",
    )
    try:
        with whole_file(path) as place:
            figure.savefig(place, format=path.suffix[1:], dpi=150)
    except OSError as error:
        raise UserError(f"--chart {path}: cannot be written ({error.strerror})") from error


def _settings(axes: Axes, comparison: Comparison) -> None:
    for place, summary in enumerate(comparison.summaries):
        colour = _GREY if summary.setting is comparison.baseline else _BLUE
        _bar(axes, place, summary.figures[RSUM].mean, summary.intervals[RSUM], colour, filled=True)
        seeds = [run[RSUM] for run in summary.setting.figures]
        if len(seeds) > 1:
            axes.plot(seeds, [place + 0.24] * len(seeds), "|", color=colour, markersize=7, markeredgewidth=1.4)
        _beside(axes, place, f"{spread(summary.figures[RSUM])}   {span(summary.intervals[RSUM])}")
    labels = [_label(summary) for summary in comparison.summaries]
    marks = "; small marks: single seeds" if any(len(one.setting.runs) > 1 for one in comparison.summaries) else ""
    _finish(axes, labels, f"rsum: mean, 95 % interval{marks}")


def _differences(axes: Axes, comparison: Comparison) -> None:
    axes.axvline(0, color="#333333", linewidth=1)
    for place, one in enumerate(comparison.differences):
        clear = one.interval[0] > 0 or one.interval[1] < 0
        _bar(axes, place, one.rsum, one.interval, _ORANGE if clear else _BLUE, filled=clear)
        _beside(axes, place, f"{signed(one.rsum)}   {span(one.interval)}   {_p(comparison, one)}")
    labels = [one.setting.name for one in comparison.differences]
    axes.margins(x=0.08)
    title = f"difference in rsum from {comparison.baseline.name}, 95 % interval; filled where it leaves out 0"
    _finish(axes, labels, title)


def _p(comparison: Comparison, one: Difference) -> str:
    if len(comparison.differences) == 1:
        return probability("p", one.p)
    return probability("p", one.corrected) + " (Holm)"


def _bar(axes: Axes, place: int, mean: float, bounds: tuple[float, float], colour: str, *, filled: bool) -> None:
    axes.plot(bounds, [place, place], color=colour, linewidth=2.4, solid_capstyle="round")
    face = colour if filled else "white"
    axes.plot(mean, place, "o", color=colour, markerfacecolor=face, markersize=7.5, markeredgewidth=1.6)


def _beside(axes: Axes, place: int, words: str) -> None:
    axes.text(1.015, place, words, transform=axes.get_yaxis_transform(), va="center", fontsize=9)


def _label(summary: Summary) -> str:
    return f"{summary.setting.name}, {summary.setting.seeds}"


def _finish(axes: Axes, labels: list[str], title: str) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_title(title, fontsize=10.5, loc="left", pad=8)
    axes.grid(axis="x", alpha=0.3)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
