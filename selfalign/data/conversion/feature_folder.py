"""Folders with one ``.npz`` or ``.npy`` for each image, as later versions of bottom-up attention write them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from selfalign.data.conversion.region_formats import ImageRegions, RegionRecord, image_regions
from selfalign.errors import UserError
from selfalign.files.numpy_members import read_array, read_members

ARRAY_NAMES = {
    "features": ("x", "features", "feat", "feats", "feature", "image_features"),
    "boxes": ("bbox", "boxes", "bboxes", "image_bb"),
    "count": ("num_bbox", "num_boxes", "num_bboxes"),
    "width": ("image_w", "img_w", "image_width", "width"),
    "height": ("image_h", "img_h", "image_height", "height"),
}
"""What the arrays of an image are called in the dumps that there are."""
_ENDINGS = (".npz", ".npy")


def folder_records(path: Path, start: int = 0, order: Sequence[str] | None = None) -> Iterator[RegionRecord]:
    """The files of a folder by name.

    Args:
        path: the folder.
        start: number of the file to begin at.
        order: not needed; every file is named like its image.

    Raises:
        UserError: if there is no such file; the records' ``read``, if a file is damaged or an array pickled.
    """
    try:
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry in entries if entry.name.endswith(_ENDINGS))
    except OSError as error:
        raise UserError(f"folder {path}: cannot be read ({error.strerror})") from error
    names = [name for name in names if not name.endswith("_info.npy")]  # Pythia's, a pickle beside every array
    if not names:
        raise UserError(f"folder {path}: no .npz or .npy there")
    for number, name in enumerate(names[start:], start=start + 1):
        file = path / name
        yield RegionRecord(f"features {file}", file.stem, number, partial(_read, file))


def _read(path: Path) -> ImageRegions:
    where = f"features {path}"
    if path.suffix == ".npy":
        return image_regions(where, _regions_first(where, read_array(path, "features"), None))
    found = read_members(path, "features", ARRAY_NAMES)
    return arrays_of_image(where, found)


def arrays_of_image(where: str, found: dict[str, np.ndarray]) -> ImageRegions:
    """The regions in arrays under the names of :data:`ARRAY_NAMES`.

    Args:
        where: of them, for messages.
        found: ``features``, perhaps in a grid or turned round, and what else there is.

    Raises:
        UserError: if there are no features, or what is there does not fit together.
    """
    if "features" not in found:
        raise UserError(f"{where}: no features; expected an array called {', '.join(ARRAY_NAMES['features'])}")
    boxes = found.get("boxes")
    count = int(found["count"].reshape(-1)[0]) if "count" in found and found["count"].size == 1 else None
    known = count if boxes is None else len(boxes)
    features = _regions_first(where, found["features"], known)
    if boxes is not None and count is not None and 0 < count < len(boxes):  # filled up with zeros
        features, boxes = features[:count], boxes[:count]
    size = [_scalar(where, name, found[name]) for name in ("width", "height") if name in found]
    return image_regions(where, features, boxes, size if len(size) == 2 else None)


def _regions_first(where: str, features: np.ndarray, regions: int | None) -> np.ndarray:
    """(r, F) of (r, F), of (F, r) where ``regions`` tells it, of a grid (h, w, F), or of these in a batch of one."""
    if features.ndim > 2 and features.shape[0] == 1:
        features = features[0]
    if features.ndim == 3:
        features = features.reshape(-1, features.shape[-1])
    if features.ndim == 1:
        features = features[None]
    if features.ndim == 2 and regions is not None and len(features) != regions == features.shape[1]:
        features = features.T
    return features


def _scalar(where: str, name: str, values: np.ndarray) -> float:
    if values.size != 1 or values.dtype.kind not in "fiu":
        raise UserError(f"{where}: the image's {name} expected one number, got {values.dtype} {values.shape}")
    return float(values.reshape(-1)[0])
