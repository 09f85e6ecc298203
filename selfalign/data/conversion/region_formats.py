"""The forms in which region features are handed out, a row each: what reads them, one image after the other.

A further form is one file with a function like :data:`Reader`, and one row here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from selfalign.errors import UserError

_LARGEST_SIDE = 100_000
"""Pixels of an image."""
_MOST_REGIONS = 10_000
_WIDEST = 2**16


@dataclass(frozen=True, eq=False)
class ImageRegions:
    """The regions of an image.

    Attributes:
        features: (r, F) float.
        boxes: (r, 4) float32, x1 y1 x2 y2 in pixels; ``None`` where the form tells none.
        size: (2,) float32, width and height in pixels; ``None`` where there are no boxes.
    """

    features: np.ndarray
    boxes: np.ndarray | None = None
    size: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class RegionRecord:
    """An image in a source.

    Attributes:
        where: file, place and image, for messages.
        image: its name or number, as the source calls it.
        end: place in the source after it, from which a reader can go on.
        read: its regions, unpacked when they are wanted.
    """

    where: str
    image: str
    end: int
    read: Callable[[], ImageRegions]


Reader = Callable[[Path, int, Sequence[str] | None], Iterator[RegionRecord]]
"""Source, place to begin at, and names of the images by row for forms that tell none → the records from there on."""


@dataclass(frozen=True)
class RegionFormat:
    """A form of region features.

    Attributes:
        name: of the command, ``selfalign convert NAME``.
        doc: what it is, in a line.
        sources: what one source is.
        reader: ``module:function``, a :data:`Reader`; imported when it is used.
        ordered: sources may need a file with the images' names in the order of the rows.
    """

    name: str
    doc: str
    sources: str
    reader: str
    ordered: bool = False

    def load(self) -> Reader:
        """The function."""
        module, _, name = self.reader.partition(":")
        reader: Reader = getattr(importlib.import_module(module), name)
        return reader


_HERE = "selfalign.data.conversion"
REGION_FORMATS = (
    RegionFormat(
        "tsv",
        "TSV files of bottom-up attention, with its six columns or LXMERT's ten",
        "TSV files, .gz too",
        f"{_HERE}.feature_tsv:tsv_records",
    ),
    RegionFormat(
        "npz",
        "folders with a .npz (or .npy) for each image, named like it",
        "folders",
        f"{_HERE}.feature_folder:folder_records",
    ),
    RegionFormat(
        "hdf5",
        "HDF5 files: arrays of all images, or an entry for each image",
        "HDF5 files",
        f"{_HERE}.feature_hdf5:hdf5_records",
        ordered=True,
    ),
    RegionFormat(
        "npy",
        "arrays (N, R, F) or (N, F) of all images, X_boxes.npy and X_img_sizes.npy beside X_ims.npy",
        ".npy files",
        f"{_HERE}.feature_npy:npy_records",
        ordered=True,
    ),
)


def image_regions(
    where: str, features: np.ndarray, boxes: np.ndarray | None = None, size: Sequence[float] | None = None
) -> ImageRegions:
    """Regions of an image that can be what they are said to be.

    Args:
        where: of them, for messages.
        features: (r, F), of numbers.
        boxes: (r, 4), in pixels.
        size: width and height in pixels.

    Raises:
        UserError: naming what cannot be.
    """
    if features.ndim != 2 or not 1 <= len(features) <= _MOST_REGIONS or not 1 <= features.shape[1] <= _WIDEST:
        raise UserError(f"{where}: features expected (regions, width), got {features.shape}")
    require_numbers(where, "features", features)
    if boxes is None:
        return ImageRegions(features)
    if boxes.shape != (len(features), 4):
        raise UserError(f"{where}: boxes expected {(len(features), 4)} as the features have, got {boxes.shape}")
    require_numbers(where, "boxes", boxes)
    if size is None:
        raise UserError(f"{where}: boxes without the image's width and height; --no-boxes leaves them out")
    if not all(0 < side <= _LARGEST_SIDE for side in size):
        raise UserError(f"{where}: width and height expected above 0, got {' '.join(f'{side:g}' for side in size)}")
    return ImageRegions(features, boxes.astype(np.float32), np.array(size, np.float32))


def require_numbers(where: str, name: str, values: np.ndarray) -> None:
    """Refuse what is not finite, or no number at all.

    Raises:
        UserError: naming the array.
    """
    if values.dtype.kind not in "fiu":
        raise UserError(f"{where}: {name} expected numbers, got {values.dtype}")
    if not np.isfinite(values).all():
        raise UserError(f"{where}: {name} holds values that are not finite; extract this image again")
