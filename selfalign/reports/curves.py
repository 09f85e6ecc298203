"""``curves.png``: the training losses and validation recalls of ``metrics.csv``."""

from __future__ import annotations

import csv
from pathlib import Path

from selfalign.files.whole_files import whole_file

_NO_LOSSES = ("train/similarity", "train/prototype", "train/gradient_norm", "train/pairs_per_second")


def save_curves(metrics: Path, path: Path) -> None:
    """Draw every training loss and the validation recalls of a ``metrics.csv`` as one PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    series = read_series(metrics)
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    losses, recalls = figure.subplots(1, 2)
    names = [name for name in series if name.startswith("train/") and not name.startswith(_NO_LOSSES)]
    for name in names:
        losses.plot(*series[name], label=name.removeprefix("train/"), linewidth=1.2)
    losses.set(xlabel="step", ylabel="loss before its weight", yscale="log", title="Training")
    for side, style in (("i2t", "-"), ("t2i", "--")):
        for depth, colour in (("r1", "#c0504d"), ("r5", "#4f81bd"), ("r10", "#77933c")):
            if (name := f"val/{side}_{depth}") in series:
                label = f"{side} R@{depth[1:]}"
                recalls.plot(*series[name], style, color=colour, label=label, marker="o", markersize=3)
    recalls.set(xlabel="step", ylabel="recall, %", ylim=(0, 100), title="Validation")
    for axes in (losses, recalls):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8, loc="best")
    with whole_file(path) as place:
        figure.savefig(place, format="png", dpi=130)


def read_series(metrics: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Steps and values of every column of a ``metrics.csv``."""
    series: dict[str, tuple[list[int], list[float]]] = {}
    with metrics.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value and name not in ("step", "epoch"):
                    steps, values = series.setdefault(name, ([], []))
                    steps.append(int(row["step"]))
                    values.append(float(value))
    return series
