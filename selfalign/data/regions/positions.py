"""Where the regions of an image are: boxes on disk, or the cells of a grid."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

from selfalign.data.image_ids import CAPTIONS_PER_IMAGE
from selfalign.data.layout import SplitFiles
from selfalign.data.regions.disk_array import DiskArray
from selfalign.data.regions.features import RegionFeatures
from selfalign.errors import UserError, shown

BOX_UNITS = ("pixels", "fractions")
_GRID = re.compile(r"([1-9]\d?)x([1-9]\d?)")


class Positions(ABC):
    """Where the regions of an image are (METHOD section 3).

    Args:
        features: of the same split.
    """

    def __init__(self, features: RegionFeatures) -> None:
        self._features = features

    @abstractmethod
    def raw(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(B, R, 4) boxes and (B, 2) sizes of ``images`` (B,), float32, in the unit of the sizes; padding is zeros."""

    def mask(self, images: np.ndarray) -> np.ndarray | None:
        """(B, R) bool, the real regions of ``images`` (B,); ``None`` where all images of the split have R."""
        return self._features.mask(images)

    def rows(self, images: np.ndarray) -> np.ndarray:
        """(B, R, 6) float32: x, y, w, h as shares of the image, w / h, and the share of the image's area."""
        boxes, sizes = self.raw(images)
        mask = self.mask(images)
        if mask is None:
            return box_positions(boxes, sizes)
        boxes[~mask] = (0, 0, 1, 1)  # not a number otherwise
        positions = box_positions(boxes, sizes)
        positions[~mask] = 0
        return positions


class BoxPositions(Positions):
    """Boxes on disk.

    Args:
        boxes: x1 y1 x2 y2, a ``.npy`` of the form of the features: (N, R, 4), or (total, 4).
        sizes: (N, 2) ``.npy``, width and height of the images in pixels.
        features: of the same split.
        unit: of the boxes on disk: ``pixels``, or ``fractions`` of the image's width and height.

    Raises:
        UserError: if the files do not fit the features.
    """

    def __init__(self, boxes: Path, sizes: Path, features: RegionFeatures, unit: str = "pixels") -> None:
        super().__init__(features)
        require_box_unit(unit)
        self.unit = unit
        self._rows = features.regions_of
        varying = self._rows is not None
        expected = (*(features.shape[:-1] if varying else (features.images, features.regions)), 4)
        self.boxes = DiskArray(boxes, len(expected), "boxes")
        self.sizes = DiskArray(sizes, 2, "image sizes")
        times = (1, CAPTIONS_PER_IMAGE)
        self._box_step = self._step(self.boxes, expected, times if self._rows is None else (1,))
        self._size_step = self._step(self.sizes, (features.images, 2), times)

    @staticmethod
    def _step(array: DiskArray, expected: tuple[int, ...], times: tuple[int, ...]) -> int:
        """How often an array repeats every image."""
        for step in times:
            if array.shape == (step * expected[0], *expected[1:]):
                return step
        raise UserError(f"{array.what} {array.path}: expected shape {expected} as the features have, got {array.shape}")

    def raw(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Positions`; in pixels."""
        if self._rows is None:
            found = self.boxes.rows(images * self._box_step)
        else:
            regions = self.boxes if len(self.boxes.shape) == 2 else self.boxes.flat()
            found = self._rows.read(regions, images * self._features.step)
        boxes = found.astype(np.float32, copy=False)
        sizes = self.sizes.rows(images * self._size_step).astype(np.float32, copy=False)
        return boxes * np.tile(sizes, 2)[:, None] if self.unit == "fractions" else boxes, sizes


class GridPositions(Positions):
    """The cells of a grid, row by row, of equal size, as the last map of a network has them.

    Args:
        rows, columns: of the grid.
        sizes: (N, 2) ``.npy``, width and height of the images, which tell how wide cells are; ``None``: squares.
        features: of the same split.

    Raises:
        UserError: if the images do not have a region for each cell.
    """

    def __init__(self, rows: int, columns: int, sizes: Path | None, features: RegionFeatures) -> None:
        super().__init__(features)
        require_cells(rows, columns, features.numbers)
        self._cells = grid_boxes(rows, columns)
        self.sizes = None if sizes is None else DiskArray(sizes, 2, "image sizes")
        allowed = [(times * features.images, 2) for times in (1, CAPTIONS_PER_IMAGE)]
        if self.sizes is not None and self.sizes.shape not in allowed:
            raise UserError(
                f"image sizes {sizes}: expected shape {(features.images, 2)} as the features have, got "
                f"{self.sizes.shape}"
            )
        self._size_step = 1 if self.sizes is None else len(self.sizes) // features.images

    def raw(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Positions`."""
        if self.sizes is None:
            sizes = np.ones((len(images), 2), np.float32)
        else:
            sizes = self.sizes.rows(images * self._size_step).astype(np.float32, copy=False)
        return self._cells[None] * np.tile(sizes, 2)[:, None], sizes


def open_positions(files: SplitFiles, features: RegionFeatures, box_unit: str = "pixels") -> Positions:
    """Where the regions of a split are.

    Args:
        files: of the split.
        features: of its images.
        box_unit: of the boxes on disk, or the grid that takes their place, as ``7x7``.

    Raises:
        UserError: if a file is missing or does not fit the features.
    """
    found = positions_at_hand(files, features, box_unit)
    if found is None:
        missing = "boxes.npy" if files.boxes is None else "img_sizes.npy"
        raise UserError(
            f"data folder {files.root}: {files.split}_{missing} is missing, which this backbone needs; "
            "add it, or use a backbone that reads no boxes, as backbone=vsrn"
        )
    return found


def positions_at_hand(files: SplitFiles, features: RegionFeatures, box_unit: str = "pixels") -> Positions | None:
    """:func:`open_positions`; ``None`` where a file is missing."""
    if (grid := grid_of(box_unit)) is not None:
        return GridPositions(*grid, files.sizes, features)
    if files.boxes is None or files.sizes is None:
        return None
    return BoxPositions(files.boxes, files.sizes, features, box_unit)


def grid_of(unit: str) -> tuple[int, int] | None:
    """Rows and columns of a grid that is given in place of a unit of boxes, as ``7x7``."""
    found = _GRID.fullmatch(unit)
    return None if found is None else (int(found[1]), int(found[2]))


def grid_boxes(rows: int, columns: int) -> np.ndarray:
    """(rows · columns, 4) float32: the cells of a grid, row by row, as shares of the image.

    Example:
        >>> grid_boxes(1, 2).tolist()
        [[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0]]
    """
    top, left = (values.ravel() for values in np.mgrid[:rows, :columns])
    corners = (left / columns, top / rows, (left + 1) / columns, (top + 1) / rows)
    return np.stack(corners, axis=-1).astype(np.float32)


def require_cells(rows: int, columns: int, regions: str) -> None:
    """Refuse images that do not have a region for each cell of a grid.

    Raises:
        UserError: saying so.
    """
    if regions != str(rows * columns):
        raise UserError(f"data.boxes: {rows}x{columns} are {rows * columns} cells, the features have {regions} regions")


def require_box_unit(unit: str) -> None:
    """Refuse a unit of boxes that is none, and no grid.

    Raises:
        UserError: naming those that there are.
    """
    if unit not in BOX_UNITS and grid_of(unit) is None:
        raise UserError(f"data.boxes: expected one of {', '.join(BOX_UNITS)}, or a grid as 7x7, got {shown(unit)}")


def box_positions(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Where regions are in their image (METHOD section 3).

    Args:
        boxes: (B, R, 4), x1 y1 x2 y2 in pixels.
        sizes: (B, 2), width and height of the images in pixels.

    Returns:
        (B, R, 6) float32: x, y, w, h as shares of the image, w / h, and the share of the image's area.
    """
    corner, extent = boxes[..., :2], boxes[..., 2:] - boxes[..., :2]
    shares = np.concatenate([corner, extent], axis=-1) / np.tile(sizes, 2)[:, None]
    aspect = extent[..., :1] / extent[..., 1:]
    area = extent.prod(axis=-1, keepdims=True) / sizes.prod(axis=-1)[:, None, None]
    return np.concatenate([shares, aspect, area], axis=-1, dtype=np.float32)
