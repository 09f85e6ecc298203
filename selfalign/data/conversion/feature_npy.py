"""Arrays of all images, an image a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from selfalign.data.conversion.region_formats import ImageRegions, RegionRecord, image_regions
from selfalign.data.regions.disk_array import DiskArray
from selfalign.errors import UserError


def npy_records(path: Path, start: int = 0, order: Sequence[str] | None = None) -> Iterator[RegionRecord]:
    """The rows of an array (N, R, F) or (N, F), and of the boxes and sizes beside it where it is called ``X_ims.npy``.

    Args:
        path: the array.
        start: row to begin at.
        order: names of the images, one a row; ``None`` where the rows have none but their numbers, from 0.

    Raises:
        UserError: if the arrays are damaged or have not as many rows as names.
    """
    features = DiskArray(path, (2, 3), "features")
    sisters = {}
    if path.name.endswith("_ims.npy"):
        for kind, axes in (("boxes", 3), ("img_sizes", 2)):
            sister = path.with_name(f"{path.name.removesuffix('ims.npy')}{kind}.npy")
            if sister.exists():
                sisters[kind] = DiskArray(sister, axes, kind)
    for array in sisters.values():
        if len(array) != len(features):
            raise UserError(f"{array.what} {array.path}: {len(array):,} rows, the features have {len(features):,}")
    names = row_names(path, len(features), order)
    for row in range(start, len(features)):
        where = f"features {path}: row {row} (image {names[row]})"
        yield RegionRecord(where, names[row], row + 1, partial(_read, where, row, features, sisters))


def row_names(path: Path, rows: int, order: Sequence[str] | None) -> Sequence[str]:
    """The names of the images of a file that tells none.

    Raises:
        UserError: if there are not as many as rows.
    """
    if order is None:
        return [str(row) for row in range(rows)]
    if len(order) != rows:
        raise UserError(f"features {path}: {rows:,} rows, --order has {len(order):,} names; expected one name a row")
    return order


def _read(where: str, row: int, features: DiskArray, sisters: dict[str, DiskArray]) -> ImageRegions:
    place = np.array([row])
    values = {kind: array.rows(place)[0] for kind, array in sisters.items()}
    size = values["img_sizes"].tolist() if "img_sizes" in values else None
    found = features.rows(place)[0]
    return image_regions(where, found if found.ndim == 2 else found[None], values.get("boxes"), size)
