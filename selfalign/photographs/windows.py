"""The 36 fixed windows of a photograph, as shares of its width and height; the same in every photograph."""

from __future__ import annotations

Box = tuple[float, float, float, float]
"""x1 y1 x2 y2."""


def _grid(name: str, count: int, side: float) -> dict[str, Box]:
    """``count`` × ``count`` windows of ``side``, spread evenly, row by row."""
    step = (1 - side) / (count - 1)
    starts = [place * step for place in range(count)]
    return {
        f"{name} {row + 1},{column + 1}": (left, top, left + side, top + side)
        for row, top in enumerate(starts)
        for column, left in enumerate(starts)
    }


WINDOWS: dict[str, Box] = {
    "whole": (0, 0, 1, 1),
    **_grid("quadrant", 2, 4 / 7),
    "centre": (1 / 4, 1 / 4, 3 / 4, 3 / 4),
    "left strip": (0, 0, 1 / 3, 1),
    "middle strip": (1 / 3, 0, 2 / 3, 1),
    "right strip": (2 / 3, 0, 1, 1),
    "upper half": (0, 0, 1, 1 / 2),
    "lower half": (0, 1 / 2, 1, 1),
    **_grid("ninth", 3, 3 / 7),
    **_grid("sixteenth", 4, 2 / 7),
}
"""By name, in the order of the regions: the whole, quadrants, the centre, strips, halves, grids of 3 × 3 and 4 × 4.

Quadrants and grids overlap: of a picture of 224 pixels they are windows of 128, 96 and 64."""

REGIONS = len(WINDOWS)
