"""Boxes that say the same: how far they overlap, and the best of each heap."""

from __future__ import annotations

import torch
from torch import Tensor


def box_overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """(R, S) intersection over union of ``boxes`` (R, 4) and ``others`` (S, 4), x1 y1 x2 y2.

    Example:
        >>> box_overlaps(torch.tensor([[0.0, 0, 2, 1]]), torch.tensor([[1.0, 0, 2, 1], [2, 0, 3, 1]]))
        tensor([[0.5000, 0.0000]])
    """
    starts = torch.maximum(boxes[:, None, :2], others[None, :, :2])
    ends = torch.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = (ends - starts).clamp(min=0).prod(dim=-1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=-1)[:, None] + (others[:, 2:] - others[:, :2]).prod(dim=-1)
    return shared / (areas - shared).clamp(min=torch.finfo(boxes.dtype).tiny)


def distinct_boxes(boxes: Tensor, scores: Tensor, *, most: int, overlap: float) -> Tensor:
    """(K,) rows of the best boxes, best first; none overlaps a better one by more than ``overlap``.

    Boxes of the same score come in their own order.

    Args:
        boxes: (R, 4) x1 y1 x2 y2.
        scores: (R,).
        most: K at most.
        overlap: intersection over union, 0 to 1.

    Example:
        >>> boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, 1.9], [3, 3, 4, 4]])
        >>> distinct_boxes(boxes, torch.tensor([0.5, 0.9, 0.7]), most=9, overlap=0.7)
        tensor([1, 2])
    """
    order = scores.argsort(descending=True, stable=True)
    too_close = box_overlaps(boxes[order], boxes[order]) > overlap
    kept: list[int] = []
    for place in range(len(order)):
        if len(kept) == most:
            break
        if not too_close[place, kept].any():
            kept.append(place)
    return order[kept]
