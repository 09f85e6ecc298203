"""A leaderboard as a picture: a heat map of two swept keys, lines of one that is a number, points of all else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from selfalign.files.whole_files import whole_file
from selfalign.reports.leaderboard.leaderboard_table import short_key, short_value
from selfalign.reports.leaderboard.standings import Leaderboard, Spread, Standing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MEASURE = "validation R@1 + R@5 of both directions"
_BLUE, _ORANGE, _GREY = "#0072b2", "#d55e00", "#8c8c8c"  # told apart by colour-blind eyes
_FULL_GRID = 0.5
_MOST_POINTS = 40
_MOST_TICKS = 10
_LIGHT = 0.45  # of the range of colours; darker ones take white letters


def save_leaderboard_chart(board: Leaderboard, path: Path) -> None:
    """Draw the validation figures, and mark the best; nothing is drawn where no job is done."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [setting for setting in board.rows if setting.selection]
    if not rows:
        return
    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    if _is_grid(board):
        _heat_map(figure, board)
    elif len(board.keys) == 1 and all(_is_number(value) for row in rows for value in row.values.values()):
        _lines(figure, board)
    else:
        _points(figure, board)
    with whole_file(path) as place:
        figure.savefig(place, format="png", dpi=130)


def _is_grid(board: Leaderboard) -> bool:
    """Two keys whose pairs of values are mostly there; the values that a search draws make no grid."""
    if len(board.keys) != 2 or len({setting.gallery for setting in board.rows if setting.selection}) > 1:
        return False
    cells = math.prod(len(_levels(board, key)) for key in board.keys)
    return len(board.rows) >= _FULL_GRID * cells and min(len(_levels(board, key)) for key in board.keys) > 1


def _levels(board: Leaderboard, key: str) -> list[str]:
    """The values of a key: numbers by size, then words as they come."""
    values = dict.fromkeys(setting.values[key] for setting in board.rows)
    return sorted(values, key=lambda value: (0, float(value)) if _is_number(value) else (1, 0.0))


def _is_number(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def _title(figure: Figure, board: Leaderboard) -> None:
    counts = {setting.done for setting in board.rows if setting.selection}
    seeds = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else f"{max(counts)}"
    spread = "one seed each" if counts == {1} else f"mean ± standard deviation over {seeds} seeds"
    figure.suptitle(f"{_MEASURE}\n{spread}; ★ best", fontsize=10)


def _heat_map(figure: Figure, board: Leaderboard) -> None:
    across, down = board.keys[1], board.keys[0]
    columns, rows = _levels(board, across), _levels(board, down)
    figure.set_size_inches(2.6 + 1.15 * len(columns), 1.7 + 0.75 * len(rows))
    places = {(setting.values[down], setting.values[across]): place for place, setting in enumerate(board.rows)}
    means = [[_mean(board, places.get((row, column))) for column in columns] for row in rows]
    axes = figure.subplots()
    axes.set_facecolor("#e6e6e6")
    low, high = _colour_range(board)
    image = axes.imshow(means, cmap="cividis", aspect="auto", origin="lower", vmin=low, vmax=high)
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            place = places.get((row, column))
            setting = None if place is None else board.rows[place]
            light = setting is None or setting.selection is None or setting.selection.mean > low + _LIGHT * (high - low)
            axes.text(
                x,
                y,
                _cell(setting, place in board.best),
                ha="center",
                va="center",
                fontsize=9,
                color="black" if light else "white",
                fontweight="bold" if place in board.best else "normal",
            )
    axes.set_xticks(range(len(columns)), [short_value(value) for value in columns])
    axes.set_yticks(range(len(rows)), [short_value(value) for value in rows])
    axes.set(xlabel=across, ylabel=down)
    axes.tick_params(length=0)
    for y in range(1, len(rows)):
        axes.axhline(y - 0.5, color="white", linewidth=2)
    for x in range(1, len(columns)):
        axes.axvline(x - 0.5, color="white", linewidth=2)
    figure.colorbar(image, ax=axes)
    _title(figure, board)


def _colour_range(board: Leaderboard) -> tuple[float, float]:
    """From the lowest mean to the highest, or wider: a difference within the spread over seeds must not look large."""
    spreads = [setting.selection for setting in board.rows if setting.selection is not None]
    low, high = min(spread.mean for spread in spreads), max(spread.mean for spread in spreads)
    missing = max(max(2 * (spread.deviation or 0.0) for spread in spreads) - (high - low), 0.0)
    return low - missing / 2, high + missing / 2


def _mean(board: Leaderboard, place: int | None) -> float:
    selection = None if place is None else board.rows[place].selection
    return math.nan if selection is None else selection.mean


def _cell(setting: Standing | None, best: bool) -> str:
    if setting is None:
        return ""
    if setting.selection is None:
        return setting.jobs[0].state
    star = "★ " if best else ""
    part = f"\n{setting.done} of {len(setting.jobs)} seeds" if setting.done < len(setting.jobs) else ""
    deviation = "" if setting.selection.deviation is None else f"\n± {setting.selection.deviation:.1f}"
    return f"{star}{setting.selection.mean:.1f}{deviation}{part}"


def _lines(figure: Figure, board: Leaderboard) -> None:
    """Validation figures over the values of one key; values without a figure are named below."""
    key = board.keys[0]
    figure.set_size_inches(6.4, 4)
    axes = figure.subplots()
    shown = [
        (float(row.values[key]), row.selection, place in board.best, short_value(row.values[key]))
        for place, row in enumerate(board.rows)
        if row.selection is not None
    ]
    shown.sort(key=lambda item: item[0])
    xs = [x for x, *_ in shown]
    if len(xs) <= _MOST_TICKS:  # the values that a search draws lie too close for a line
        axes.plot(xs, [spread.mean for _, spread, *_ in shown], color=_BLUE, linewidth=1.5)
    for x, spread, best, _ in shown:
        colour, marker, size = (_ORANGE, "*", 15) if best else (_BLUE, "o", 6)
        axes.errorbar(x, spread.mean, yerr=spread.deviation, color=colour, marker=marker, markersize=size, capsize=4)
    if min(xs) > 0 and max(xs) / min(xs) >= 4:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("{x:g}")
    if len(xs) <= _MOST_TICKS:
        axes.set_xticks(xs, [label for *_, label in shown])
        axes.minorticks_off()
    without = [f"{row.values[key]} ({row.jobs[0].state})" for row in board.rows if row.selection is None]
    axes.set(
        xlabel=key + (f"\nwithout a figure: {', '.join(without)}" if without else ""),
        ylabel="R@1 + R@5, both directions",
    )
    axes.grid(alpha=0.3)
    _title(figure, board)


def _points(figure: Figure, board: Leaderboard) -> None:
    """One line a setting, the best at the top."""
    shown = board.rows[:_MOST_POINTS]
    labels = [_label(setting, board.keys) for setting in shown]
    figure.set_size_inches(5 + 0.075 * max(map(len, labels)), 1.6 + 0.32 * len(shown))
    axes = figure.subplots()
    for place, setting in enumerate(shown):
        if setting.selection is None:
            axes.text(
                0.01, place, setting.jobs[0].state, transform=axes.get_yaxis_transform(), color=_GREY, va="center"
            )
        else:
            _point(axes, place, setting.selection, best=place in board.best)
    axes.set_yticks(range(len(shown)), labels)
    axes.set(ylim=(len(shown) - 0.4, -0.6), xlabel="R@1 + R@5, both directions")
    axes.grid(alpha=0.3)
    _title(figure, board)
    if len(shown) < len(board.rows):
        axes.set_ylabel(f"the first {len(shown)} of {len(board.rows)} settings")


def _point(axes: Axes, place: int, spread: Spread, *, best: bool) -> None:
    axes.errorbar(
        spread.mean,
        place,
        xerr=spread.deviation,
        color=_ORANGE if best else _BLUE,
        marker="*" if best else "o",
        markersize=13 if best else 6,
        capsize=4,
    )


def _label(setting: Standing, keys: Sequence[str]) -> str:
    return ", ".join(f"{short_key(key, keys)} {short_value(setting.values[key])}" for key in keys) or "all settings"
