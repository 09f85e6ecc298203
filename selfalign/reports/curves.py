"""``curves.png``: the losses, the learning rate and the validation recalls of ``metrics.csv``."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from selfalign.files.whole_files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Series = dict[str, tuple[list[int], list[float]]]
_TOTAL = "train/loss"
_NO_LOSSES = ("train/similarity", "train/prototype", "train/gradient_norm", "train/pairs_per_second")
_RATE = "lr-"
_COLUMNS = 3
_FEW = 30
"""Points that are also marked: a line of one point is none."""
_WIDE = 20.0
"""A loss whose largest value is that many times its smallest gets a logarithmic axis."""
_DEPTHS = (("r1", "#c0504d"), ("r5", "#4f81bd"), ("r10", "#77933c"))


@dataclass(frozen=True)
class Panel:
    """One picture of a figure.

    Attributes:
        title: what is drawn.
        unit: of its vertical axis.
        lines: series by what the legend calls them.
    """

    title: str
    unit: str
    lines: dict[str, tuple[list[int], list[float]]]


def save_curves(metrics: Path, path: Path) -> None:
    """Draw a ``metrics.csv`` as one PNG: a panel for each loss, with an axis of its own, for the recalls and the rate.

    What has no figures gets no panel; without any figure nothing is written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = panels(read_series(metrics))
    if not shown:
        return
    columns = min(_COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(4.2 * columns, 3.1 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows, columns)
    for number, panel in enumerate(shown):
        _draw(figure.add_subplot(grid[number // columns, number % columns]), panel)
    with whole_file(path) as place:
        figure.savefig(place, format="png", dpi=130)


def panels(series: Series) -> list[Panel]:
    """What there is to draw, in reading order."""
    found = []
    recalls = {
        f"{side} R@{depth[1:]}": series[name]
        for side in ("i2t", "t2i")
        for depth, _ in _DEPTHS
        if (name := f"val/{side}_{depth}") in series
    }
    if recalls:
        found.append(Panel("validation", "recall, %", recalls))
    if _TOTAL in series:
        found.append(Panel("total: sum of weight × loss", "loss", {"total": series[_TOTAL]}))
    for name, values in series.items():
        if name.startswith("train/") and name != _TOTAL and not name.startswith(_NO_LOSSES):
            term = name.removeprefix("train/")
            found.append(Panel(f"{term}, before its weight", "loss", {term: values}))
    rates = {name.removeprefix(_RATE): values for name, values in series.items() if name.startswith(_RATE)}
    if rates:
        found.append(Panel("learning rate", "rate", rates))
    return found


def _draw(axes: Axes, panel: Panel) -> None:
    colours = {f"{side} R@{depth[1:]}": colour for side in ("i2t", "t2i") for depth, colour in _DEPTHS}
    for label, (steps, values) in panel.lines.items():
        axes.plot(
            steps,
            values,
            linestyle="--" if label.startswith("t2i") else "-",
            color=colours.get(label),
            label=label,
            linewidth=1.2,
            marker="o" if len(steps) <= _FEW else None,
            markersize=3,
        )
    axes.set(xlabel="step", ylabel=panel.unit, title=panel.title)
    every = [value for _, values in panel.lines.values() for value in values]
    if panel.unit.startswith("recall"):
        axes.set_ylim(0, min(100.0, max(every) * 1.15 + 1))
    elif is_wide(panel):
        axes.set_yscale("log")
    axes.grid(alpha=0.3)
    if len(panel.lines) > 1:
        axes.legend(fontsize=8, loc="best")


def is_wide(panel: Panel) -> bool:
    """Whether a panel's values need a logarithmic axis."""
    every = [value for _, values in panel.lines.values() for value in values]
    return not panel.unit.startswith("recall") and min(every) > 0 and max(every) / min(every) > _WIDE


def read_series(metrics: Path) -> Series:
    """Steps and values of every column of a ``metrics.csv``."""
    series: Series = {}
    with metrics.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value and name not in ("step", "epoch"):
                    steps, values = series.setdefault(name, ([], []))
                    steps.append(int(row["step"]))
                    values.append(float(value))
    return series
