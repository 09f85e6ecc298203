"""Which regions are right for a phrase."""

from __future__ import annotations

import numpy as np
import torch

from selfalign.data.dataset import centres_in
from selfalign.functional.overlap import box_overlaps

TRUTHS = ("overlap_any", "overlap_union", "point_any", "point_union")
"""What a right region is: it overlaps by half, or has its centre in, any true box, or the box around all of them."""
_OVERLAP = 0.5


def right_regions(regions: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(4, R) bool, by :data:`TRUTHS`, of ``regions`` (R, 4) for a phrase with true ``boxes`` (K, 4), x1 y1 x2 y2.

    Example:
        >>> boxes = np.array([[0, 0, 2, 2], [8, 0, 10, 2]], np.float32)  # two of them, far from each other
        >>> right_regions(np.array([[0, 0, 2, 2], [0, 0, 10, 2]], np.float32), boxes).T.tolist()
        [[True, False, True, True], [False, True, False, True]]
    """
    around = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])[None]
    overlaps = [
        (box_overlaps(torch.from_numpy(regions), torch.from_numpy(true)).amax(dim=1) >= _OVERLAP).numpy()
        for true in (boxes, around)
    ]
    return np.stack([*overlaps, *(centres_in(regions, true).any(axis=1) for true in (boxes, around))])
