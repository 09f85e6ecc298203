"""Where the regions of each image stand in a file, where images have different numbers of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from selfalign.data.regions.disk_array import INTEGERS, DiskArray
from selfalign.errors import UserError


@dataclass(frozen=True, eq=False)
class RegionRows:
    """Regions of N images among all rows of regions of a file.

    Attributes:
        starts: (N,) int64, first region of each image.
        counts: (N,) int64, regions of each, at least 1.
    """

    starts: np.ndarray
    counts: np.ndarray

    @classmethod
    def padded(cls, counts: Path, features: DiskArray) -> RegionRows:
        """Of (N, R, F) ``features``, each image's regions first and padding after them.

        Raises:
            UserError: if the file does not hold N whole numbers from 1 to R.
        """
        images, most = features.shape[:2]
        found = _numbers(counts, "numbers of regions")
        if len(found) != images:
            raise UserError(f"numbers of regions {counts}: expected {images:,}, one an image, got {len(found):,}")
        wrong = np.flatnonzero((found < 1) | (found > most))
        if len(wrong):
            raise UserError(
                f"numbers of regions {counts}: image {wrong[0]} has {found[wrong[0]]}; expected 1 to {most}, the rows "
                "of regions in the features"
            )
        return cls(np.arange(images) * most, found)

    @classmethod
    def one_after_the_other(cls, offsets: Path, features: DiskArray) -> RegionRows:
        """Of (total, F) ``features``; image n has the rows from ``offsets[n]`` to ``offsets[n + 1]``.

        Raises:
            UserError: if the file does not hold offsets that rise from 0 to the total.
        """
        found = _numbers(offsets, "offsets")
        if len(found) < 2 or found[0] != 0 or found[-1] != len(features):
            ends = f"from {found[0]:,} to {found[-1]:,}" if len(found) else "none"
            raise UserError(
                f"offsets {offsets}: expected numbers that rise from 0 to {len(features):,}, the rows of the features, "
                f"got {ends}"
            )
        counts = np.diff(found)
        if counts.min() < 1:
            image = int(counts.argmin())
            raise UserError(
                f"offsets {offsets}: image {image} has the rows {found[image]:,} to {found[image + 1]:,}; every image "
                "needs at least one region"
            )
        return cls(found[:-1], counts)

    @property
    def most(self) -> int:
        """R: the largest number of regions."""
        return int(self.counts.max())

    @property
    def vary(self) -> bool:
        """Whether images have different numbers of regions."""
        return bool((self.counts != self.counts[0]).any())

    def every(self, step: int) -> RegionRows:
        """Those of every so manieth image."""
        return RegionRows(self.starts[::step], self.counts[::step])

    def read(self, array: DiskArray, images: np.ndarray) -> np.ndarray:
        """(B, R, ...) regions of ``images`` (B,) and zeros after them, from a 2-D ``array`` of regions."""
        return array.runs(self.starts[images], self.counts[images], self.most)

    def mask(self, images: np.ndarray) -> np.ndarray:
        """(B, R) bool: the regions of ``images`` (B,) that are real."""
        return np.arange(self.most) < self.counts[images][:, None]


def _numbers(path: Path, what: str) -> np.ndarray:
    array = DiskArray(path, 1, what, INTEGERS)
    return array.slice(0, len(array)).astype(np.int64)
