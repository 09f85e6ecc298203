"""Averages of a map over boxes, exact: no cell is sampled, each counts by its area in the box."""

from __future__ import annotations

import torch
from torch import Tensor


def box_averages(values: Tensor, boxes: Tensor) -> Tensor:
    """The average of a map over each box; a cell that lies in it by a third counts a third.

    Boxes smaller than a cell take that cell's value. What of a box lies outside the map counts nothing.

    Args:
        values: (C, H, W) map.
        boxes: (R, 4) x1 y1 x2 y2 as shares of the map's width and height, 0 to 1.

    Returns:
        (R, C) averages.

    Raises:
        ValueError: if shapes are others, or a box has no area on the map.

    Example:
        >>> box_averages(torch.tensor([[[0.0, 3.0]]]), torch.tensor([[0.25, 0.0, 1.0, 1.0]]))
        tensor([[2.]])
    """
    if values.ndim != 3 or boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"expected a map (C, H, W) and boxes (R, 4), got {tuple(values.shape)}, {tuple(boxes.shape)}")
    height, width = values.shape[1:]
    inside = boxes.to(values).clamp(0.0, 1.0)
    if not (inside[:, 2:] > inside[:, :2]).all():
        raise ValueError("every box needs an area within 0 to 1, x1 < x2 and y1 < y2")
    across = _shares(inside[:, 0], inside[:, 2], width)  # (R, W)
    down = _shares(inside[:, 1], inside[:, 3], height)  # (R, H)
    rows = torch.einsum("rh,chw->rcw", down, values)
    return torch.einsum("rcw,rw->rc", rows, across)


def _shares(start: Tensor, end: Tensor, cells: int) -> Tensor:
    """(R, cells) how much of each stretch ``start`` to ``end`` (R,) lies in each of ``cells`` equal parts of 0 to 1."""
    edges = torch.arange(cells + 1, dtype=start.dtype, device=start.device) / cells
    overlap = torch.minimum(end[:, None], edges[1:]) - torch.maximum(start[:, None], edges[:-1])
    return overlap.clamp(min=0.0) / (end - start)[:, None]
