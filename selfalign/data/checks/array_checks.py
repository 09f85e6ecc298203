"""Checks of the arrays of a split before a run: wrong files give plausible numbers.

Everything here makes findings. Training stops at the first error, ``python -m selfalign.check`` lists them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from selfalign.data.checks.findings import Finding, counted
from selfalign.data.regions.features import RegionFeatures
from selfalign.data.regions.positions import BoxPositions

_WHOLE_BYTES = 512 * 2**20
_SAMPLED_IMAGES = 512
_BOX_CHUNK = 16_384
_TOLERANCE = 1.0  # pixels by which detectors' boxes leave their image
_LARGEST_SIDE = 20_000  # pixels
_LARGEST_SHARE = 1.01
_LEAST_REACH = 0.5
"""Of the images' width and height, that the furthest of all boxes reaches: detectors find something at every edge."""
_FEWEST_REGIONS = 20
_LARGEST_VALUE = 1e4  # detectors' features reach some tens


def feature_findings(name: str, features: RegionFeatures, *, full: bool = False) -> Iterator[Finding]:
    """Finite, not all zero, of a plausible size, and the same for all captions of an image.

    Args:
        name: of the split.
        features: of its images.
        full: read all of them; otherwise files above 512 MB are sampled.
    """
    images = np.arange(features.images)
    if features.bytes > _WHOLE_BYTES and not full:
        images = np.unique(np.linspace(0, features.images - 1, _SAMPLED_IMAGES).astype(np.int64))
    faults = _FeatureFaults()
    with tqdm(total=len(images), desc=f"reading {name}", unit=" images", disable=None, leave=False) as bar:
        for chunk in features.chunks(images):
            faults = faults.after(features, chunk)
            bar.update(len(chunk))
    about, beside = f"{name} features", f"{features.path.name.rpartition('_')[0]}_num_regions.npy"
    if faults.repeat is not None:
        yield Finding(
            "error",
            about,
            f"features {features.path}: as many rows as captions, but the five rows of image {faults.repeat} are not "
            f"the same ({counted(faults.repeats, 'such image')}); it is neither one row an image with five captions "
            "each, nor one a caption; with one caption an image, give each image five",
        )
    if faults.value is not None:
        yield Finding(
            "error",
            about,
            f"features {features.path}: {faults.value}; extract it again ({counted(faults.values, 'such value')})",
        )
    if faults.blank is not None:
        yield Finding(
            "error",
            about,
            f"features {features.path}: image {faults.blank} is all zeros; it was never extracted or copied "
            f"({counted(faults.blanks, 'such image')})",
        )
    if faults.padded is not None:
        yield Finding(
            "error",
            about,
            f"features {features.path}: regions of zeros in image {faults.padded} and others "
            f"({counted(faults.paddings, 'such image')}): images of fewer regions were filled up, and every model "
            f"would take the zeros for regions; say in {beside} how many are real, or extract "
            f"{features.regions} regions of every image",
        )
    if faults.overfull is not None:
        yield Finding(
            "error",
            about,
            f"features {features.path}: image {faults.overfull} has something after its real regions "
            f"({counted(faults.overfulls, 'such image')}); {beside} is of other features",
        )
    if faults.largest > _LARGEST_VALUE:
        yield Finding(
            "warning",
            about,
            f"features {features.path}: values up to {faults.largest:.3g}; region features are some tens at most",
        )
    if faults.none:
        read = "all read" if len(images) == features.images else f"{len(images):,} images read"
        yield Finding(
            "ok",
            about,
            f"{features.images:,} images, {features.numbers} regions of {features.width}, "
            f"{features.bytes / 2**20:,.0f} MB, finite up to {faults.largest:.3g} ({read})",
        )


@dataclass(frozen=True)
class _FeatureFaults:
    """Faults of the features so far: the first of each kind and how many there are."""

    repeat: int | None = None
    repeats: int = 0
    value: str | None = None
    values: int = 0
    blank: int | None = None
    blanks: int = 0
    padded: int | None = None
    paddings: int = 0
    overfull: int | None = None
    overfulls: int = 0
    largest: float = 0.0

    @property
    def none(self) -> bool:
        first = (self.repeat, self.value, self.blank, self.padded, self.overfull)
        return all(place is None for place in first)

    def after(self, features: RegionFeatures, images: np.ndarray) -> _FeatureFaults:
        """These and the faults of ``images`` (B,)."""
        values = features.rows(images)
        finite = np.isfinite(values)
        bad = np.argwhere(~finite) if not finite.all() else np.empty((0, 3), np.int64)
        empty = ~np.any(values, axis=2, keepdims=True)[..., 0]  # (B, R)
        blank = images[empty.all(axis=1)]
        mask = features.mask(images)
        padded = images[(empty if mask is None else empty & mask).any(axis=1) & ~empty.all(axis=1)]
        overfull = features.overfull(images)
        differ = features.repeats_differ(images)
        magnitude = np.abs(values, where=finite, out=np.zeros_like(values)).max() if len(bad) else _magnitude(values)
        return _FeatureFaults(
            self.repeat if self.repeat is not None or not len(differ) else int(differ[0]),
            self.repeats + len(differ),
            self.value if self.value is not None or not len(bad) else _place(values, images, bad[0]),
            self.values + len(bad),
            self.blank if self.blank is not None or not len(blank) else int(blank[0]),
            self.blanks + len(blank),
            self.padded if self.padded is not None or not len(padded) else int(padded[0]),
            self.paddings + len(padded),
            self.overfull if self.overfull is not None or not len(overfull) else int(overfull[0]),
            self.overfulls + len(overfull),
            max(self.largest, float(magnitude)),
        )


def _magnitude(values: np.ndarray) -> float:
    """Largest absolute value, without another array of the same size."""
    return max(float(values.max()), -float(values.min()))


def _place(values: np.ndarray, images: np.ndarray, where: np.ndarray) -> str:
    image, region, column = where
    return f"image {images[image]}, region {region}, column {column} is {values[image, region, column]}"


def box_findings(name: str, positions: BoxPositions, images: int) -> Iterator[Finding]:
    """Boxes inside their images and of positive area, images of a plausible size: all of them, they are small."""
    everything = np.arange(images)
    bad_sizes, first_size, huge, first_huge, scale = 0, "", 0, "", _Scale()
    faults: dict[str, tuple[int, str]] = {}
    with tqdm(total=images, desc=f"boxes of {name}", unit=" images", disable=None, leave=False) as bar:
        for start in range(0, images, _BOX_CHUNK):
            chunk = everything[start : start + _BOX_CHUNK]
            boxes, sizes = positions.raw(chunk)
            possible = (np.isfinite(sizes) & (sizes > 1)).all(axis=-1)
            large = possible & (sizes > _LARGEST_SIDE).any(axis=-1)
            first_size = first_size or _first_size(chunk, sizes, ~possible)
            first_huge = first_huge or _first_size(chunk, sizes, large)
            scale = scale.after(boxes[possible], sizes[possible])
            bad_sizes, huge = bad_sizes + int((~possible).sum()), huge + int(large.sum())
            real = np.ones(boxes.shape[:2], bool) if (mask := positions.mask(chunk)) is None else mask
            for problem, count, line in _box_faults(chunk[possible], boxes[possible], sizes[possible], real[possible]):
                before, first = faults.get(problem, (0, line))
                faults[problem] = (before + count, first)
            bar.update(len(chunk))
    if bad_sizes:
        yield Finding(
            "error",
            f"{name} image sizes",
            f"image sizes {positions.sizes.path}: {first_size} pixels; expected width and height above 1 "
            f"({counted(bad_sizes, 'such image')})",
        )
    if huge:
        yield Finding(
            "warning",
            f"{name} image sizes",
            f"image sizes {positions.sizes.path}: {first_huge} pixels ({counted(huge, 'image')} as large)",
        )
    if (wrong_unit := scale.problem(positions.unit)) is not None:
        yield Finding("error", f"{name} boxes", f"boxes {positions.boxes.path}: {wrong_unit}")
        return
    for count, line in faults.values():
        text = f"boxes {positions.boxes.path}: {line}; {counted(count, 'such region')}; are they of another extraction?"
        yield Finding("error", f"{name} boxes", text)
    if not bad_sizes and not faults:
        text = f"{images:,} images, all inside their images and of positive area (all read)"
        yield Finding("ok", f"{name} boxes", text)


@dataclass(frozen=True)
class _Scale:
    """How far the boxes of all images reach: what tells pixels from shares of the image, or from other pixels."""

    pixels: float = 0.0
    width: float = 0.0
    height: float = 0.0
    regions: int = 0

    def after(self, boxes: np.ndarray, sizes: np.ndarray) -> _Scale:
        """This and the boxes (B, R, 4) of images of ``sizes`` (B, 2)."""
        ends = np.where(np.isfinite(boxes), boxes, 0.0)[..., 2:]
        if not ends.size:
            return self
        shares = (ends / sizes[:, None]).max(axis=(0, 1))
        return _Scale(
            max(self.pixels, float(ends.max())),
            max(self.width, float(shares[0])),
            max(self.height, float(shares[1])),
            self.regions + ends.shape[0] * ends.shape[1],
        )

    def problem(self, unit: str) -> str | None:
        """Why the boxes cannot be of ``unit``; ``None`` if they can."""
        if self.regions < _FEWEST_REGIONS:
            return None
        if unit == "fractions":
            if max(self.width, self.height) > _LARGEST_SHARE:
                return (
                    f"values up to {max(self.width, self.height):g} are no shares of the images; use data.boxes=pixels"
                )
        elif self.pixels <= _LARGEST_SHARE:
            return (
                f"all values are at most {self.pixels:g}: they are shares of the images' width and height, not pixels; "
                "use data.boxes=fractions"
            )
        if min(self.width, self.height) < _LEAST_REACH:
            return (
                f"no box reaches beyond {self.width:.0%} of its image's width and {self.height:.0%} of its height; "
                "boxes and image sizes are of different scales, so write both for the same pixels"
            )
        return None


def _first_size(images: np.ndarray, sizes: np.ndarray, wrong: np.ndarray) -> str:
    places = np.flatnonzero(wrong)
    return f"image {images[places[0]]} is {_numbers(sizes[places[0]])}" if len(places) else ""


def _box_faults(
    images: np.ndarray, boxes: np.ndarray, sizes: np.ndarray, real: np.ndarray
) -> Iterator[tuple[str, int, str]]:
    """Each kind of fault of the (B, R) ``real`` boxes with its count and its first box."""
    limits = np.tile(sizes, 2)[:, None] + _TOLERANCE
    finite = np.isfinite(boxes).all(axis=-1)
    problems = (
        ("is not finite", ~finite),
        ("has no area (expected x1 < x2 and y1 < y2)", finite & ~(boxes[..., 2:] > boxes[..., :2]).all(axis=-1)),
        ("leaves its image", finite & ~((boxes >= -_TOLERANCE) & (boxes <= limits)).all(axis=-1)),
    )
    for problem, wrong in problems:
        places = np.argwhere(wrong & real)
        if len(places):
            image, region = places[0]
            line = f"image {images[image]}, region {region}: {_numbers(boxes[image, region])} {problem}"
            yield problem, len(places), f"{line}, image {_numbers(sizes[image])}"


def _numbers(values: np.ndarray) -> str:
    return " ".join(f"{value:g}" for value in values)
