"""Region features of the images of a split."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from pathlib import Path

import numpy as np

from selfalign.data.regions.disk_array import DiskArray
from selfalign.data.regions.region_rows import RegionRows
from selfalign.errors import UserError

_MOST_VALUES = 2**22
"""Of an image; 36 regions of 2,048 are 73,728."""
_CHUNK_BYTES = 64 * 2**20


class RegionFeatures:
    """Region features that stay on disk; a batch is the only copy.

    Args:
        path: float16, float32 or float64 ``.npy`` of (N, R, F); of (N, F), one vector an image; or with ``offsets`` of
            (total, F), the regions of all images one after the other.
        counts: (N,) whole numbers, how many of the R regions of each image are real; ``None`` for all.
        offsets: (N + 1,) whole numbers, where each image begins.

    Attributes:
        images: N.
        regions: R, the largest number of regions of an image.
        width: F.
        step: rows of the file that each image takes.
        regions_of: where the regions of each image are, where not all images have R of them one after the other.

    Raises:
        UserError: if a file is unreadable, or they do not fit each other.
    """

    def __init__(self, path: Path, counts: Path | None = None, offsets: Path | None = None) -> None:
        self._array = DiskArray(path, (2, 3), "features")
        self.step = 1
        self.regions_of: RegionRows | None = None
        if offsets is not None:
            if counts is not None:
                raise UserError(f"features {path}: beside it stand {counts.name} and {offsets.name}; remove one")
            if len(self.shape) != 2:
                raise UserError(f"features {path}: expected shape (total, F) beside {offsets.name}, got {self.shape}")
            self.regions_of = RegionRows.one_after_the_other(offsets, self._array)
        elif counts is not None:
            if len(self.shape) != 3:
                raise UserError(f"features {path}: expected shape (N, R, F) beside {counts.name}, got {self.shape}")
            self.regions_of = RegionRows.padded(counts, self._array)
        self.images = len(self._array) if self.regions_of is None else len(self.regions_of.counts)
        several = self.shape[1] if len(self.shape) == 3 else 1
        self.regions = several if self.regions_of is None else self.regions_of.most
        self.width = self.shape[-1]
        if self.regions * self.width > _MOST_VALUES:
            raise UserError(
                f"features {path}: {self.regions:,} regions of {self.width:,} an image; no features are that large"
            )

    def repeated(self, times: int) -> RegionFeatures:
        """The same file read as one that repeats every image so many times: every so manieth row is an image."""
        found = copy(self)
        found.step = times
        found.images = self.images // times
        return found

    @property
    def path(self) -> Path:
        """The file."""
        return self._array.path

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array on disk."""
        return self._array.shape

    @property
    def vary(self) -> bool:
        """Whether images have different numbers of regions, so that batches carry a mask."""
        return self.regions_of is not None and self.regions_of.vary

    @property
    def numbers(self) -> str:
        """The regions of an image in words: ``36``, or ``12 to 36``."""
        least = self.regions_of.counts.min() if self.regions_of is not None else self.regions
        return f"{self.regions}" if least == self.regions else f"{least} to {self.regions}"

    def mask(self, images: np.ndarray) -> np.ndarray | None:
        """(B, R) bool, the real regions of ``images`` (B,); ``None`` where all images of the split have R."""
        return self.regions_of.mask(images * self.step) if self.regions_of is not None and self.vary else None

    def repeats_differ(self, images: np.ndarray) -> np.ndarray:
        """Those of ``images`` (B,) whose rows in a file of repeated images are not all the same."""
        if self.step == 1:
            return images[:0]
        first = self.rows(images)
        differ = np.zeros(len(images), bool)
        for repeat in range(1, self.step):
            same = np.equal(self._read(images * self.step + repeat), first) | ~np.isfinite(first)
            differ |= ~same.all(axis=(1, 2))
        return images[differ]

    def overfull(self, images: np.ndarray) -> np.ndarray:
        """Those of ``images`` (B,) that have something on disk after their real regions."""
        if self.regions_of is None or len(self.shape) == 2:
            return images[:0]
        rows = images * self.step
        padding = np.arange(self.shape[1]) >= self.regions_of.counts[rows][:, None]
        return images[(self._array.rows(rows).any(axis=2) & padding).any(axis=1)]

    def chunks(self, images: np.ndarray) -> Iterator[np.ndarray]:
        """``images`` (K,) in parts whose features are some tens of megabytes."""
        size = max(1, _CHUNK_BYTES * self.images // self.bytes)
        return (images[start : start + size] for start in range(0, len(images), size))

    @property
    def image_bytes(self) -> int:
        """Size of the values of one image in a batch."""
        return self.bytes // self.images

    @property
    def bytes(self) -> int:
        """Size of the values of all images as batches hold them, in bytes."""
        return self.images * self.regions * self.width * self._array.dtype.itemsize

    def rows(self, images: np.ndarray) -> np.ndarray:
        """(B, R, F) features of ``images`` (B,) in the type on disk, zeros after the regions of an image."""
        return self._read(images * self.step)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        if self.regions_of is not None:
            return self.regions_of.read(self._regions, rows)
        values = self._array.rows(rows)
        return values if values.ndim == 3 else values[:, None]

    @property
    def _regions(self) -> DiskArray:
        """The file as an array of regions."""
        return self._array if len(self.shape) == 2 else self._array.flat()

    def ends(self, images: np.ndarray) -> np.ndarray:
        """(B, F) features of the last region of ``images`` (B,): small reads that tell images apart."""
        rows = images * self.step
        if self.regions_of is None:
            return self._array.ends(rows, self.width)
        return self._regions.rows(self.regions_of.starts[rows] + self.regions_of.counts[rows] - 1)
