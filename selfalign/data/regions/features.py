"""Region features and box positions of the images of a split."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from pathlib import Path

import numpy as np

from selfalign.data.image_ids import CAPTIONS_PER_IMAGE
from selfalign.data.regions.disk_array import DiskArray
from selfalign.errors import UserError, shown

BOX_UNITS = ("pixels", "fractions")
_MOST_VALUES = 2**22
"""Of an image; 36 regions of 2,048 are 73,728."""
_CHUNK_BYTES = 64 * 2**20


class RegionFeatures:
    """Memory-mapped region features; a batch is the only copy.

    Args:
        path: (N, R, F) float16, float32 or float64 ``.npy``.

    Raises:
        UserError: if the file is unreadable.
    """

    def __init__(self, path: Path) -> None:
        self._array = DiskArray(path, 3, "features")
        rows, self.regions, self.width = self._array.shape
        if self.regions * self.width > _MOST_VALUES:
            raise UserError(
                f"features {path}: {self.regions:,} regions of {self.width:,} an image; no features are that large"
            )
        self._step = 1
        self.images = rows

    def repeated(self, times: int) -> RegionFeatures:
        """The same file read as one that repeats every image so many times: every so manieth row is an image."""
        found = copy(self)
        found._step = times
        found.images = self.images // times
        return found

    @property
    def path(self) -> Path:
        """The file."""
        return self._array.path

    def repeats_differ(self, images: np.ndarray) -> np.ndarray:
        """Those of ``images`` (B,) whose rows in a file of repeated images are not all the same."""
        if self._step == 1:
            return images[:0]
        first = self.rows(images)
        differ = np.zeros(len(images), bool)
        for repeat in range(1, self._step):
            same = np.equal(self._array.rows(images * self._step + repeat), first) | ~np.isfinite(first)
            differ |= ~same.all(axis=(1, 2))
        return images[differ]

    def chunks(self, images: np.ndarray) -> Iterator[np.ndarray]:
        """``images`` (K,) in parts whose features are some tens of megabytes."""
        size = max(1, _CHUNK_BYTES * self.images // self.bytes)
        return (images[start : start + size] for start in range(0, len(images), size))

    @property
    def image_bytes(self) -> int:
        """Size of the values of one image."""
        return self.bytes // self.images

    @property
    def bytes(self) -> int:
        """Size of the values that are read, in bytes."""
        return self.images * self.regions * self.width * self._array.dtype.itemsize

    def rows(self, images: np.ndarray) -> np.ndarray:
        """(B, R, F) features of ``images`` (B,) in the type on disk."""
        return self._array.rows(images * self._step)

    def ends(self, images: np.ndarray) -> np.ndarray:
        """(B, F) features of the last region of ``images`` (B,): small reads that tell images apart."""
        return self._array.ends(images * self._step, self.width)


class BoxPositions:
    """Where the regions of an image are (METHOD section 3).

    Args:
        boxes: (N, R, 4) ``.npy``, x1 y1 x2 y2.
        sizes: (N, 2) ``.npy``, width and height of the images in pixels.
        features: of the same split.
        unit: of the boxes on disk: ``pixels``, or ``fractions`` of the image's width and height.

    Raises:
        UserError: if the files do not fit the features.
    """

    def __init__(self, boxes: Path, sizes: Path, features: RegionFeatures, unit: str = "pixels") -> None:
        require_box_unit(unit)
        self.unit = unit
        self.boxes = DiskArray(boxes, 3, "boxes")
        self.sizes = DiskArray(sizes, 2, "image sizes")
        repeats = {features.images: 1, CAPTIONS_PER_IMAGE * features.images: CAPTIONS_PER_IMAGE}
        for array, tail in ((self.boxes, (features.regions, 4)), (self.sizes, (2,))):
            if len(array) not in repeats or array.shape[1:] != tail:
                raise UserError(
                    f"{array.what} {array.path}: expected shape {(features.images, *tail)} as the features have, "
                    f"got {array.shape}"
                )
        self._box_step, self._size_step = repeats[len(self.boxes)], repeats[len(self.sizes)]

    def raw(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(B, R, 4) boxes and (B, 2) sizes of ``images`` (B,), float32, in pixels."""
        boxes = self.boxes.rows(images * self._box_step).astype(np.float32, copy=False)
        sizes = self.sizes.rows(images * self._size_step).astype(np.float32, copy=False)
        return boxes * np.tile(sizes, 2)[:, None] if self.unit == "fractions" else boxes, sizes

    def rows(self, images: np.ndarray) -> np.ndarray:
        """(B, R, 6) float32: x, y, w, h as shares of the image, w / h, and the share of the image's area."""
        return box_positions(*self.raw(images))


def require_box_unit(unit: str) -> None:
    """Refuse a unit of boxes that is none.

    Raises:
        UserError: naming those that there are.
    """
    if unit not in BOX_UNITS:
        raise UserError(f"data.boxes: expected one of {', '.join(BOX_UNITS)}, got {shown(unit)}")


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
