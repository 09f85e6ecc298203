"""Features in float16: half the disk and half the reading."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from selfalign.data.checks.checksums import write_checksums
from selfalign.data.conversion.feature_files import ArrayFile, as_dtype
from selfalign.data.regions.disk_array import DiskArray
from selfalign.errors import UserError

_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Rounding:
    """What rounding to float16 changed.

    Attributes:
        images: that were converted.
        largest: absolute difference.
        relative: largest difference as a share of its image's largest value.
    """

    images: int
    largest: float
    relative: float


def to_float16(source: Path, target: Path) -> Rounding:
    """Write features (N, R, F) again in float16, image by image, and renew the checksum of the new file.

    Raises:
        UserError: if the source is no array of features, a value does not fit or is not finite, or the target exists.
    """
    array = DiskArray(source, 3, "features")
    if target.exists():
        raise UserError(f"{target}: exists already; remove it, or choose another name")
    written = ArrayFile(target, array.shape, "float16")
    largest = relative = 0.0
    try:
        for image in tqdm(range(len(array)), desc=target.name, unit=" images", disable=None):
            values = array.rows(np.array([image]))[0]
            where = f"features {source}: image {image}"
            if not np.isfinite(values).all():
                raise UserError(f"{where} has values that are not finite; extract this image again")
            halves = as_dtype(values, "float16", where)
            written.write(image, halves)
            difference = float(np.abs(halves.astype(values.dtype) - values).max())
            largest = max(largest, difference)
            relative = max(relative, difference / max(float(np.abs(values).max()), _TINY))
        written.finish()
    except BaseException as error:
        written.close()
        written.partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UserError(f"{target}: cannot be written ({error.strerror})") from error
        raise
    write_checksums(target.parent, [target.name])
    return Rounding(len(array), largest, relative)
