"""Boxes as a detector would propose them, and features of the pixels inside."""

from __future__ import annotations

import numpy as np

from selfalign.data.scenes.composition import SIDE, Scene

REGIONS = 36
_TIGHT, _LOOSE = 0.06, 0.16  # jitter of a proposal's corners, as a share of the object's side
_LOOSE_PROPOSALS = 3
_COLOUR_CELLS, _EDGE_CELLS = 4, 3
_STEEP = 1 + 2**0.5
_BIN_STARTS = ((_STEEP, 1), (1, 1), (1, _STEEP), (0, 1), (-1, _STEEP), (-1, 1), (-_STEEP, 1))
"""x and y of the directions at 22.5, 45, … 157.5 degrees; the first bin starts at 0."""
_DIRECTIONS = 1 + len(_BIN_STARTS)
WIDTH = 3 * _COLOUR_CELLS**2 + _DIRECTIONS * _EDGE_CELLS**2 + 3 + 2
"""F: mean colours, edge directions, colour deviations, and the box's width and height."""


def propose(scene: Scene, random: np.random.Generator) -> np.ndarray:
    """(36, 4) float32 boxes x1 y1 x2 y2 in pixels, in random order: some for each object, the rest anywhere."""
    proposals = []
    for thing in scene.objects:
        box = np.asarray(thing.box, np.float64)
        side = box[2] - box[0]
        proposals.append(box + random.uniform(-_TIGHT, _TIGHT, 4) * side)
        proposals += [box + random.uniform(-_LOOSE, _LOOSE, 4) * side for _ in range(_LOOSE_PROPOSALS)]
    missing = REGIONS - len(proposals)
    extent = random.uniform(16, 90, (missing, 2))
    corner = random.uniform(0, 1, (missing, 2)) * (SIDE - extent)
    boxes = np.concatenate([np.stack(proposals), np.concatenate([corner, corner + extent], axis=1)])
    return boxes[random.permutation(REGIONS)].clip(0, SIDE).round(1).astype(np.float32)


def features(picture: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(R, F) float32 features of the pixels of each box, roughly of unit scale.

    Sums over any window come from one cumulative table of the picture.

    Args:
        picture: (SIDE, SIDE, 3) uint8.
        boxes: (R, 4), x1 y1 x2 y2 in pixels.
    """
    pixels = picture.astype(np.float64) / 255
    means = _Windows(np.concatenate([pixels, pixels**2, _edge_directions(picture)], axis=-1)).means
    whole = means(boxes, 1, slice(0, 6))
    deviation = np.sqrt((whole[:, 3:] - whole[:, :3] ** 2).clip(min=0))
    parts = (
        2 * (means(boxes, _COLOUR_CELLS, slice(0, 3)) - 0.5),
        10 * means(boxes, _EDGE_CELLS, slice(6, None)),
        4 * deviation,
        2 * (boxes[:, 2:] - boxes[:, :2]) / SIDE,
    )
    return np.concatenate(parts, axis=1, dtype=np.float32)


def _edge_directions(picture: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE, 8): gradient magnitude of every pixel, in the bin of its direction modulo 180 degrees.

    Many gradients lie on a diagonal, which is where one bin ends. By whole numbers they fall into the same bin on every
    machine; by an arc tangent, whose last bit is a matter of the processor, they would not.
    """
    down, right = np.gradient(picture.sum(axis=-1, dtype=np.int64))
    magnitude = np.sqrt(down**2 + right**2) / (3 * 255)
    half_turn = np.where((down < 0) | ((down == 0) & (right < 0)), -1, 1)
    down, right = half_turn * down, half_turn * right
    bins = sum((x * down >= y * right).astype(int) for x, y in _BIN_STARTS)
    return magnitude[..., None] * (bins[..., None] == np.arange(_DIRECTIONS))


class _Windows:
    """Means over windows of a (SIDE, SIDE, C) array."""

    def __init__(self, values: np.ndarray) -> None:
        self._sums = sums = np.zeros((SIDE + 1, SIDE + 1, values.shape[-1]))
        for row in range(SIDE):  # row by row is several times faster than cumsum along that axis, and the same
            np.add(sums[row, 1:], values[row], out=sums[row + 1, 1:])
        for column in range(1, SIDE):
            sums[:, column + 1] += sums[:, column]

    def means(self, boxes: np.ndarray, cells: int, channels: slice) -> np.ndarray:
        """(R, cells² · C) means of C channels over a grid of ``cells`` × ``cells`` windows in each box."""
        steps = np.linspace(0, 1, cells + 1)
        edges_x = (boxes[:, :1] + steps * (boxes[:, 2:3] - boxes[:, :1])).round().astype(int)  # (R, cells + 1)
        edges_y = (boxes[:, 1:2] + steps * (boxes[:, 3:4] - boxes[:, 1:2])).round().astype(int)
        x1, x2 = edges_x[:, None, :-1], edges_x[:, None, 1:]
        y1, y2 = edges_y[:, :-1, None], edges_y[:, 1:, None]
        sums = self._sums[..., channels]
        total = sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1]
        area = ((y2 - y1) * (x2 - x1)).clip(min=1)[..., None]
        return (total / area).reshape(len(boxes), -1)
