"""Series → the geometry of a line chart and of interval bars, which the page draws as SVG in its own colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from selfalign.reports.curves import Panel, is_wide

WIDTH, HEIGHT = 440, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 34
_MOST_POINTS = 250
_FEW = 30
COLOURS = 8
"""That the page has; lines beyond them begin again."""


@dataclass(frozen=True)
class Tick:
    """A mark of an axis, in the chart's units."""

    place: float
    label: str


@dataclass(frozen=True)
class Line:
    """A series: its name, its colour's number, and its points, ``x,y x,y``; marks stand where points are few."""

    label: str
    colour: int
    dashed: bool
    points: str
    marks: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Bar:
    """A value with its interval, at one place."""

    x: float
    y: float
    low: float
    high: float
    colour: int
    label: str


@dataclass(frozen=True)
class Chart:
    """What the page draws, :data:`WIDTH` by :data:`HEIGHT`."""

    title: str
    unit: str
    x_label: str
    x: tuple[Tick, ...]
    y: tuple[Tick, ...]
    lines: tuple[Line, ...] = ()
    bars: tuple[Bar, ...] = ()
    legend: tuple[tuple[str, int, bool], ...] = ()
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    top: int = _TOP
    bottom: int = HEIGHT - _BOTTOM


def line_chart(panel: Panel) -> Chart:
    """The chart of a panel of ``curves``; recalls of one depth share a colour, text → image is dashed."""
    steps = [step for one, _ in panel.lines.values() for step in one]
    values = [value for _, many in panel.lines.values() for value in many if math.isfinite(value)] or [0.0]
    logarithmic = is_wide(panel)
    low, high = (min(values), max(values)) if logarithmic else _bounds(panel, values)
    x_ticks = _ticks(min(steps), max(steps), 5)
    y_ticks = _decades(low, high) if logarithmic else _ticks(low, high, 5)
    low, high = min(low, *y_ticks), max(high, *y_ticks)
    across = _scale(min(steps), max(steps), _LEFT, WIDTH - _RIGHT)
    up = _scale(low, high, HEIGHT - _BOTTOM, _TOP, logarithmic=logarithmic)
    colours = _colours(panel.lines)
    lines = []
    for label, (many, series) in panel.lines.items():
        pairs = [(step, value) for step, value in zip(many, series, strict=True) if math.isfinite(value)]
        points = [(across(step), up(value)) for step, value in _thinned(pairs)]
        marks = tuple(points) if len(points) <= _FEW else ()
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        lines.append(Line(label, colours[label], label.startswith("t2i"), text, marks))
    return Chart(
        panel.title,
        panel.unit,
        "step",
        tuple(Tick(across(tick), _number(tick)) for tick in x_ticks if min(steps) <= tick <= max(steps)),
        tuple(Tick(up(tick), _number(tick)) for tick in y_ticks),
        tuple(lines),
        legend=tuple((line.label, line.colour, line.dashed) for line in lines) if len(lines) > 1 else (),
    )


def bar_chart(
    title: str, x_label: str, groups: Sequence[str], series: Mapping[str, Sequence[tuple[float, float, float]]]
) -> Chart:
    """Percentages with intervals, group after group.

    Args:
        title, x_label: in words.
        groups: labels of G groups.
        series: by name, of each group the value and the ends of its interval.
    """
    high = max(top for one in series.values() for _, _, top in one)
    ticks = _ticks(0, min(100.0, high * 1.05 + 1), 5)
    up = _scale(0, max(ticks[-1], high), HEIGHT - _BOTTOM, _TOP)
    room = (WIDTH - _LEFT - _RIGHT) / len(groups)
    step = min(16.0, 0.7 * room / len(series))
    bars = []
    for colour, (name, values) in enumerate(series.items()):
        for place, (value, low, top) in enumerate(values):
            x = _LEFT + room * (place + 0.5) + step * (colour - (len(series) - 1) / 2)
            words = f"{name}, {groups[place]}: {value:.1f} ({low:.1f} to {top:.1f})"
            bars.append(Bar(x, up(value), up(low), up(top), colour % COLOURS, words))
    return Chart(
        title,
        "recall, %",
        x_label,
        tuple(Tick(_LEFT + room * (place + 0.5), label) for place, label in enumerate(groups)),
        tuple(Tick(up(tick), _number(tick)) for tick in ticks),
        bars=tuple(bars),
        legend=tuple((name, place % COLOURS, False) for place, name in enumerate(series)) if len(series) > 1 else (),
    )


def share(value: float, low: float, high: float, width: float) -> float:
    """Where a value stands between two others, as part of ``width``."""
    return width * (value - low) / (high - low) if high > low else width / 2


def _bounds(panel: Panel, values: Sequence[float]) -> tuple[float, float]:
    if panel.unit.startswith("recall"):
        return 0.0, min(100.0, max(values) * 1.1 + 1)
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - abs(low) / 2 - 1e-9, high + abs(high) / 2 + 1e-9)


def _colours(lines: Mapping[str, object]) -> dict[str, int]:
    """One a depth where the lines are recalls of both directions, else one a line."""
    depths = dict.fromkeys(label.split()[-1] for label in lines)
    paired = all(label.startswith(("i2t ", "t2i ")) for label in lines)
    known = {depth: place for place, depth in enumerate(depths)}
    return {label: (known[label.split()[-1]] if paired else place) % COLOURS for place, label in enumerate(lines)}


def _thinned(pairs: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """At most some hundred points: means of neighbours, the last point as it is."""
    size = -(-len(pairs) // _MOST_POINTS)
    if size <= 1:
        return pairs
    parts = [pairs[start : start + size] for start in range(0, len(pairs) - 1, size)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts] + pairs[-1:]


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers from ``low`` to ``high`` and just around them."""
    if high <= low:
        return [low]
    rough = (high - low) / most
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(size * unit for size in (1, 2, 2.5, 5, 10) if size * unit >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def _decades(low: float, high: float) -> list[float]:
    return [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def _scale(low: float, high: float, start: float, end: float, *, logarithmic: bool = False) -> Callable[[float], float]:
    change: Callable[[float], float] = math.log10 if logarithmic else float
    return lambda value: round(start + share(change(value), change(low), change(high), end - start), 2)


def _number(value: float) -> str:
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.0e}".replace("e-0", "e−").replace("e-", "e−").replace("e+0", "e")
    return f"{value:,.4f}".rstrip("0").rstrip(".").replace("-", "−")
