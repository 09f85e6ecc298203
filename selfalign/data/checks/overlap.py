"""Images that two splits share: a model would be tested on what it was trained or chosen on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from tqdm import tqdm

from selfalign.data.checks.findings import Finding, Level, counted
from selfalign.data.image_ids import are_row_numbers
from selfalign.data.layout import SplitFiles
from selfalign.data.ownership import captions_of_images, gallery_ids
from selfalign.data.regions.features import RegionFeatures
from selfalign.errors import UserError

_SHARED = 0.01
"""Share of the smaller split. A few photographs exist twice in every large collection; more is a leak."""
_WHOLE_BYTES = 512 * 2**20
_ALL_IMAGES = 10_000
_SAMPLED_IMAGES = 4_096


@dataclass(frozen=True, eq=False)
class Contents:
    """What of a split is compared with others.

    Attributes:
        name: of the split.
        features: its images; ``None`` where they could not be opened.
        texts: its captions; ``None`` where they could not be read.
        files: of it; ``None`` where some are missing.
        owners: (M,) image of each caption; ``None`` where that is not known.
    """

    name: str
    features: RegionFeatures | None
    texts: Sequence[str] | None
    files: SplitFiles | None
    owners: np.ndarray | None


def overlap_findings(splits: Sequence[Contents], *, full: bool = False) -> Iterator[Finding]:
    """Features of one kind in all splits, and images that are in two of them.

    Args:
        splits: of one run.
        full: compare the features of all images; otherwise of splits above 512 MB and 10,000 images a sample.
    """
    yield from _width_findings(splits)
    features = {split.name: split.features for split in splits if split.features is not None}
    whole = full or all(values.bytes <= _WHOLE_BYTES for values in features.values())
    marks = {name: _feature_marks(name, values, whole=whole) for name, values in features.items()}
    texts = {
        split.name: _caption_marks(split.texts, split.owners)
        for split in splits
        if split.texts is not None and split.owners is not None
    }
    for name, found in marks.items():
        if found.doubled:
            level: Level = "warning" if found.doubled > _SHARED * found.compared else "ok"
            yield Finding(
                level, f"{name} features", f"{counted(found.doubled, 'image')} with the features of another one"
            )
    for one, other in combinations([split.name for split in splits], 2):
        if one in marks and other in marks:
            pairs = marks[one].common(marks[other])
            if not whole:
                pairs = [pair for pair in pairs if _same_rows(features[one], features[other], pair)]
            how = "".join(
                f", {marks[name].compared:,} of {features[name].images:,} {name} images compared"
                for name in (one, other)
                if marks[name].compared < features[name].images
            )
            smaller = min(features[one].images, features[other].images)
            yield _shared(one, other, "features", pairs, smaller, how)
        if one in texts and other in texts:
            smaller = min(texts[one].compared, texts[other].compared)
            shared = _shared(one, other, "caption lists", texts[one].common(texts[other]), smaller, "")
            # One caption alone may well be said of two images.
            single = shared.level == "error" and min(texts[one].most, texts[other].most) == 1
            yield replace(shared, level="warning") if single else shared
    yield from _id_findings(splits)


@dataclass(frozen=True, eq=False)
class _Marks:
    """What identifies images: of each content its first image."""

    first: dict[bytes, int]
    compared: int
    doubled: int
    most: int = 0
    """Captions of an image."""

    def common(self, other: _Marks) -> list[tuple[int, int]]:
        """Images of the one and the other with the same content."""
        return sorted((image, other.first[mark]) for mark, image in self.first.items() if mark in other.first)


def _width_findings(splits: Sequence[Contents]) -> Iterator[Finding]:
    opened = [split.features for split in splits if split.features is not None]
    for features in opened[1:]:
        first = opened[0]
        as_many = features.regions == first.regions or features.vary or first.vary
        if features.width != first.width or not as_many:
            yield Finding(
                "error",
                "all features",
                f"features {features.path}: {features.regions} regions of {features.width}, training has "
                f"{first.regions} of {first.width}; they are of another extraction",
            )


def _shared(one: str, other: str, what: str, pairs: list[tuple[int, int]], smaller: int, how: str) -> Finding:
    about = f"{one} and {other}"
    if not pairs:
        return Finding("ok", about, f"no {what} in common{how}")
    first, second = pairs[0]
    leak = len(pairs) > _SHARED * smaller
    advice = "the splits are no splits; make them of different images" if leak else "look at them"
    return Finding(
        "error" if leak else "warning",
        about,
        f"splits {one} and {other}: the same {what} in {counted(len(pairs), 'image')}, first image {first} of {one} "
        f"and {second} of {other}{how}; {advice}",
    )


def _caption_marks(texts: Sequence[str], owners: np.ndarray) -> _Marks:
    """Of the list of captions of every image, whatever their order and letters' case."""
    marks: dict[bytes, int] = {}
    images = most = 0
    for image, rows in enumerate(captions_of_images(owners, int(owners.max(initial=-1)) + 1)):
        if len(rows):
            images, most = images + 1, max(most, len(rows))
            captions = sorted(texts[row].casefold() for row in rows.tolist())
            marks.setdefault(_digest("\n".join(captions).encode("utf-8", "surrogatepass")), image)
    return _Marks(marks, images, images - len(marks), most)


def _feature_marks(name: str, features: RegionFeatures, *, whole: bool) -> _Marks:
    """Of whole images, or of the last region of all images or of a sample of many."""
    images = np.arange(features.images)
    if not whole and features.images > _ALL_IMAGES:
        images = np.unique(np.linspace(0, features.images - 1, _SAMPLED_IMAGES).astype(np.int64))
    marks: dict[bytes, int] = {}
    doubled = 0
    with tqdm(total=len(images), desc=f"comparing {name}", unit=" images", disable=None, leave=False) as bar:
        for chunk in features.chunks(images):
            for image, row in zip(chunk, _halves(features.rows(chunk) if whole else features.ends(chunk)), strict=True):
                if row.any():  # an image of zeros was never extracted and is the same as any other
                    doubled += marks.setdefault(_digest(row.tobytes()), int(image)) != image
            bar.update(len(chunk))
    return _Marks(marks, len(images), doubled)


def _halves(values: np.ndarray) -> np.ndarray:
    """In float16, in which a copy of another precision is the same."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16)


def _same_rows(one: RegionFeatures, other: RegionFeatures, pair: tuple[int, int]) -> bool:
    first, second = (_halves(of.rows(np.array([image]))) for of, image in zip((one, other), pair, strict=True))
    return np.array_equal(first, second)


def _id_findings(splits: Sequence[Contents]) -> Iterator[Finding]:
    ids = {}
    for split in splits:
        try:
            if split.files is not None and split.features is not None:
                found = gallery_ids(split.files, split.owners, split.features.images)
                if found is not None:
                    ids[split.name] = found
        except UserError:  # the split's own check tells of it
            continue
    for one, other in combinations(ids, 2):
        rows = {identity: row for row, identity in reversed(list(enumerate(ids[other])))}
        pairs = [(row, rows[identity]) for row, identity in enumerate(ids[one]) if identity in rows]
        if pairs and are_row_numbers(ids[one]) and are_row_numbers(ids[other]):
            yield Finding("ok", f"{one} and {other}", "ids are row numbers of each split and say nothing of overlap")
        elif pairs and (are_row_numbers(ids[one]) or are_row_numbers(ids[other])):
            yield Finding("warning", f"{one} and {other}", f"{len(pairs):,} ids in common, of which one side are rows")
        else:
            yield _shared(one, other, "ids", pairs, min(len(ids[one]), len(ids[other])), "")


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
