"""HDF5 files of region features: arrays of all images, or an entry for each image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from selfalign.data.conversion.feature_folder import ARRAY_NAMES, arrays_of_image
from selfalign.data.conversion.feature_npy import row_names
from selfalign.data.conversion.region_formats import ImageRegions, RegionRecord
from selfalign.errors import UserError
from selfalign.files.regular_files import open_regular

_IDS = ("image_ids", "ids", "image_id", "img_ids", "img_id", "names", "image_names", "file_names")
_SIZES = ("img_sizes", "image_sizes", "sizes")
_PLACES = ("pos_boxes", "offsets")
_LARGEST = 256 * 2**20
"""Bytes of the arrays of one image, and of an array that is read whole."""


def hdf5_records(path: Path, start: int = 0, order: Sequence[str] | None = None) -> Iterator[RegionRecord]:
    """The images of a file, one in memory at a time.

    Three forms are known: ``features`` (N, R, F) or (N, F) with what else there is of all images; regions one after
    the other, ``features`` (K, F), with ``pos_boxes`` (N, 2) that says where an image's begin and end; and an entry
    for each image: a group, an array, or ``ID_features`` and ``ID_boxes``.

    Args:
        path: the file.
        start: number of the image to begin at.
        order: names of the images by row, where the file has no ``image_ids``.

    Raises:
        UserError: if h5py is missing, the file is damaged, or it reads other files (links, external storage).
    """
    try:
        import h5py
    except ImportError as error:
        raise UserError(f"HDF5 {path}: needs h5py; pip install 'selfalign[convert]'") from error
    open_regular(path, "HDF5").close()
    try:
        with h5py.File(path, "r") as file:
            stacked = _Members(path, file).find(ARRAY_NAMES["features"])
            records = _ByImage(path, file) if stacked is None else _Stacked(path, file, stacked, order)
            yield from records(start)
    except UserError:
        raise
    except Exception as error:  # h5py raises OSError, RuntimeError, KeyError and more on damaged files
        raise UserError(f"HDF5 {path}: cannot be read ({' '.join(str(error).split())[:160]})") from error


class _Members:
    """The arrays of a file or group, taken only where they lie in the file itself."""

    def __init__(self, path: Path, group: Any) -> None:
        self._path, self.group = path, group

    def find(self, names: Sequence[str]) -> Any:
        """The first array of one of these names; ``None`` where there is none."""
        found = next((name for name in names if name in self.group), None)
        member = None if found is None else self.member(found)
        return member if hasattr(member, "dtype") else None

    def member(self, name: str) -> Any:
        """What is called so.

        Raises:
            UserError: if it is another file's.
        """
        import h5py

        link = self.group.get(name, getlink=True)
        member = None if isinstance(link, h5py.ExternalLink) else self.group[name]
        if member is None or getattr(member, "external", None) or getattr(member, "is_virtual", False):
            raise UserError(f"HDF5 {self._path}: {name[:80]} reads another file; copy the values into this one")
        if (
            isinstance(member, h5py.Dataset)
            and member.dtype.kind == "O"
            and h5py.check_string_dtype(member.dtype) is None
        ):
            raise UserError(f"HDF5 {self._path}: {name[:80]} holds objects; expected numbers")
        return member


class _Stacked:
    """All images in one array."""

    def __init__(self, path: Path, file: Any, features: Any, order: Sequence[str] | None) -> None:
        members = _Members(path, file)
        self._path, self._features = path, features
        self._others = {kind: members.find(ARRAY_NAMES[kind]) for kind in ("boxes", "count", "width", "height")}
        self._sizes = members.find(_SIZES)
        places = members.find(_PLACES)
        self._places = None if places is None else _whole(path, places)
        rows = len(features) if self._places is None else len(self._places) - (self._places.ndim == 1)
        own = members.find(_IDS)
        names = _texts(path, own) if own is not None else order
        self._names = row_names(path, rows, names)

    def __call__(self, start: int) -> Iterator[RegionRecord]:
        for row in range(start, len(self._names)):
            where = f"HDF5 {self._path}: row {row} (image {self._names[row]})"
            yield RegionRecord(where, self._names[row], row + 1, partial(self._read, where, row))

    def _read(self, where: str, row: int) -> ImageRegions:
        if self._places is None:
            place: Any = row
        else:
            first, last = self._places[row] if self._places.ndim == 2 else self._places[row : row + 2]
            if not 0 <= first < last <= len(self._features):
                raise UserError(f"{where}: regions {first} to {last} of {len(self._features):,}")
            place = slice(int(first), int(last))
        found = {"features": _part(where, self._features, place)}
        for kind, member in self._others.items():
            if member is not None:
                found[kind] = np.asarray(_part(where, member, place if kind == "boxes" else row))
        if self._sizes is not None:
            found["width"], found["height"] = np.split(_part(where, self._sizes, row), 2)
        return arrays_of_image(where, found)


class _ByImage:
    """An entry for each image."""

    def __init__(self, path: Path, file: Any) -> None:
        self._path = path
        self._members = _Members(path, file)
        names = list(file)
        pairs = [name.removesuffix("_features") for name in names if name.endswith("_features")]
        self._paired = bool(pairs)
        self._names = pairs or names
        if not self._names:
            raise UserError(f"HDF5 {path}: nothing is in it")

    def __call__(self, start: int) -> Iterator[RegionRecord]:
        for number, name in enumerate(self._names[start:], start=start + 1):
            where = f"HDF5 {self._path}: image {name[:80]}"
            yield RegionRecord(where, name, number, partial(self._read, where, name))

    def _read(self, where: str, name: str) -> ImageRegions:
        if self._paired:
            arrays = {kind: self._members.find([f"{name}_{kind}"]) for kind in ("features", "boxes")}
        else:
            entry = self._members.member(name)
            inside = _Members(self._path, entry)
            is_group = not hasattr(entry, "dtype")
            arrays = (
                {kind: inside.find(names) for kind, names in ARRAY_NAMES.items()} if is_group else {"features": entry}
            )
            told = {
                kind: _attribute(entry, names) for kind, names in ARRAY_NAMES.items() if kind in ("width", "height")
            }
            arrays |= {kind: value for kind, value in told.items() if value is not None and arrays.get(kind) is None}
        return arrays_of_image(
            where, {kind: _part(where, member, ()) for kind, member in arrays.items() if member is not None}
        )


def _attribute(entry: Any, names: Sequence[str]) -> np.ndarray | None:
    return next((np.asarray(entry.attrs[name]) for name in names if name in entry.attrs), None)


def _part(where: str, member: Any, place: Any) -> np.ndarray:
    """A part of an array, if it is of a size that an image can have."""
    shape = member.shape[1:] if isinstance(place, int) else member.shape
    rows = place.stop - place.start if isinstance(place, slice) else 1
    size = int(np.prod(shape[1:] if isinstance(place, slice) else shape, dtype=object)) * rows * member.dtype.itemsize
    if size > _LARGEST:
        raise UserError(f"{where}: an array of {size:,} bytes; no image's are that large")
    return np.asarray(member[place])


def _whole(path: Path, member: Any) -> np.ndarray:
    values = _part(f"HDF5 {path}", member, ())
    if values.dtype.kind not in "iu" or values.ndim not in (1, 2) or (values.ndim == 2 and values.shape[1] != 2):
        raise UserError(f"HDF5 {path}: places of regions expected (N, 2) whole numbers, got {values.shape}")
    return values.astype(np.int64)


def _texts(path: Path, member: Any) -> list[str]:
    """Names of images: text, or whole numbers."""
    values = _part(f"HDF5 {path}", member, ()).reshape(-1)
    if values.dtype.kind not in "iuSUO":
        raise UserError(f"HDF5 {path}: names of images expected text or whole numbers, got {values.dtype}")
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values.tolist()]
