"""Checks of a split's values before a run: wrong files give plausible numbers."""

from __future__ import annotations

import numpy as np

from selfalign.data.dataset import Split
from selfalign.errors import UserError

_WHOLE_BYTES = 512 * 2**20
_SAMPLED_IMAGES = 512
_CHUNK = 256
_TOLERANCE = 1.0  # pixels by which detectors' boxes leave their image


def check_split(split: Split) -> None:
    """Refuse features that are not finite and boxes that cannot be: small sets whole, large ones by a sample.

    Raises:
        UserError: naming the file, the image, the region and the value.
    """
    everything = np.arange(split.features.images)
    images = everything
    if split.features.bytes > _WHOLE_BYTES:
        images = np.unique(np.linspace(0, len(everything) - 1, _SAMPLED_IMAGES).astype(np.int64))
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK]
        _check_features(split, chunk)
    if split.positions is not None:
        for start in range(0, len(everything), 64 * _CHUNK):  # boxes are small: all of them, always
            _check_boxes(split, everything[start : start + 64 * _CHUNK])


def _check_features(split: Split, images: np.ndarray) -> None:
    differ = split.features.repeats_differ(images)
    if len(differ):
        raise UserError(
            f"features {split.features.path}: as many rows as captions, but the five rows of image {differ[0]} are not "
            "the same; the file is neither one row an image nor one a caption"
        )
    values = split.features.rows(images)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        image, region, column = bad[0]
        raise UserError(
            f"features {split.features.path}: image {images[image]}, region {region}, column {column} is "
            f"{values[image, region, column]}; extract this image again"
        )


def _check_boxes(split: Split, images: np.ndarray) -> None:
    if split.positions is None:
        return
    boxes, sizes = split.positions.raw(images)
    bad_sizes = np.argwhere(~(np.isfinite(sizes) & (sizes > 0)).all(axis=-1))
    if len(bad_sizes):
        (image,) = bad_sizes[0]
        raise UserError(
            f"image sizes {split.positions.sizes.path}: image {images[image]} is {_numbers(sizes[image])} pixels; "
            "expected width and height above 0"
        )
    limits = np.tile(sizes, 2)[:, None] + _TOLERANCE
    problems = (
        ("is not finite", ~np.isfinite(boxes).all(axis=-1)),
        ("has no area (expected x1 < x2 and y1 < y2)", ~(boxes[..., 2:] > boxes[..., :2]).all(axis=-1)),
        ("leaves its image", ~((boxes >= -_TOLERANCE) & (boxes <= limits)).all(axis=-1)),
    )
    for problem, wrong in problems:
        places = np.argwhere(wrong)
        if len(places):
            image, region = places[0]
            raise UserError(
                f"boxes {split.positions.boxes.path}: image {images[image]}, region {region}: "
                f"{_numbers(boxes[image, region])} {problem}, image {_numbers(sizes[image])}; "
                f"{len(places)} such boxes; are they of another extraction?"
            )


def _numbers(values: np.ndarray) -> str:
    return " ".join(f"{value:g}" for value in values)
