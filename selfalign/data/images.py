"""Images alone, without captions: batches of region features from a folder or from memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from selfalign.data.checks.findings import require
from selfalign.data.checks.rules import split_findings
from selfalign.data.layout import find_split
from selfalign.data.ownership import open_features
from selfalign.data.regions.positions import box_positions, grid_boxes, open_positions, require_cells
from selfalign.data.text.captions import caption_lines
from selfalign.errors import UserError
from selfalign.structures import ImageBatch


@dataclass(frozen=True, eq=False)
class ImageRows:
    """N images to encode.

    Attributes:
        count: N.
        width: F of their regions.
        batch: rows (B,) → their batch.
    """

    count: int
    width: int
    batch: Callable[[np.ndarray], ImageBatch]


def images_on_disk(root: Path, split: str, *, boxes: bool, box_unit: str = "pixels") -> ImageRows:
    """The images of a split in SCAN's layout, with captions or without.

    Args:
        root: the folder.
        split: its name.
        boxes: whether positions are needed.
        box_unit: of the boxes on disk.

    Raises:
        UserError: if files are missing, broken, or do not fit each other.
    """
    files = find_split(root, split, captions=False)
    captions = sum(1 for _ in caption_lines(files.captions)) if files.captions.exists() else None
    features = open_features(files, captions).features
    positions = open_positions(files, features, box_unit) if boxes else None
    require(split_findings(files, None, features, positions), lambda line: None)

    def batch(rows: np.ndarray) -> ImageBatch:
        places = None if positions is None else positions.rows(rows)
        return _batch(features.rows(rows), places, rows, features.mask(rows))

    return ImageRows(features.images, features.width, batch)


def images_in_memory(
    images: Any, boxes: Any = None, sizes: Any = None, num_regions: Any = None, *, grid: tuple[int, int] | None = None
) -> ImageRows:
    """Images given as arrays.

    Args:
        images: (N, R, F) region features, or (N, F), one vector an image.
        boxes: (N, R, 4), x1 y1 x2 y2 in pixels; ``None`` where positions are not needed.
        sizes: (N, 2), width and height in pixels, beside ``boxes``.
        num_regions: (N,) how many of the R regions of each image are real; ``None`` for all.
        grid: rows and columns of a grid whose cells are the boxes.

    Raises:
        UserError: if they do not fit each other, or hold values that are not finite.
    """
    features = np.asarray(images)
    features = features[:, None] if features.ndim == 2 else features
    if features.ndim != 3 or not features.size or features.dtype.kind != "f":
        raise UserError(f"images: expected floats (N, R, F) or (N, F), got {features.dtype} of shape {features.shape}")
    if not np.isfinite(features).all():
        raise UserError("images: some values are not finite")
    mask = None if num_regions is None else _real(np.asarray(num_regions), features.shape)
    if mask is not None:
        features = np.where(mask[..., None], features, 0)
    positions = None
    if grid is not None:
        require_cells(*grid, str(features.shape[1]))
        cells = np.broadcast_to(grid_boxes(*grid), (len(features), features.shape[1], 4))
        positions = box_positions(cells, np.ones((len(features), 2), np.float32))
    elif boxes is not None:
        corners, extents = np.asarray(boxes, np.float32), np.asarray(sizes, np.float32)
        expected = ((*features.shape[:2], 4), (len(features), 2))
        if (corners.shape, extents.shape) != expected:
            raise UserError(
                f"images: expected boxes {expected[0]} and sizes {expected[1]}, got {corners.shape} and {extents.shape}"
            )
        corners = corners if mask is None else np.where(mask[..., None], corners, np.array((0, 0, 1, 1), np.float32))
        positions = box_positions(corners, extents)
    if positions is not None and mask is not None:
        positions = np.where(mask[..., None], positions, np.float32(0))
    return ImageRows(
        len(features),
        features.shape[2],
        lambda rows: _batch(
            features[rows],
            None if positions is None else positions[rows],
            rows,
            None if mask is None else mask[rows],
        ),
    )


def _real(counts: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(N, R) bool of the numbers of regions (N,)."""
    if counts.shape != shape[:1] or counts.dtype.kind not in "iu":
        raise UserError(f"images: expected num_regions ({shape[0]},) whole numbers, got {counts.dtype} {counts.shape}")
    if counts.min() < 1 or counts.max() > shape[1]:
        raise UserError(f"images: expected num_regions from 1 to {shape[1]}, got {counts.min()} to {counts.max()}")
    return np.arange(shape[1]) < counts[:, None]


def _batch(regions: np.ndarray, positions: np.ndarray | None, rows: np.ndarray, mask: np.ndarray | None) -> ImageBatch:
    places, real = (None if values is None else torch.from_numpy(values) for values in (positions, mask))
    return ImageBatch(torch.from_numpy(regions), places, torch.from_numpy(rows), real)
