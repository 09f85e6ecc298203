"""Which image a caption describes: read from files of ids, or told by their numbers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from selfalign.data.image_ids import CAPTIONS_PER_IMAGE, are_row_numbers, read_ids, read_image_ids
from selfalign.data.layout import SplitFiles
from selfalign.data.regions.features import RegionFeatures
from selfalign.errors import UserError, shown

_SAMPLED_GROUPS = 8


@dataclass(frozen=True, eq=False)
class OwnedFeatures:
    """The images of a split and the captions that describe them.

    Attributes:
        features: of N images.
        image_of_caption: (M,) int64, row of the image that each caption describes. An image may have none.
    """

    features: RegionFeatures
    image_of_caption: np.ndarray


def open_features(files: SplitFiles, captions: int | None) -> OwnedFeatures:
    """Open the features of a split and find the image of each of its captions.

    What says it, the first that is there: ``{split}_ids.txt`` with one line a caption, whose ids are those of
    ``{split}_image_ids.txt``, or else name the rows in the order in which they appear; five times as many captions as
    images; as many captions as images.

    Args:
        files: of the split.
        captions: M; ``None`` for images alone, one a row.

    Raises:
        UserError: if a file is broken, or nothing says which image a caption describes.
    """
    features = RegionFeatures(files.features, files.counts, files.offsets)
    if captions is None:
        return OwnedFeatures(features, np.empty(0, np.int64))
    ids = None if files.ids is None else read_ids(files.ids)
    if files.ids is not None and ids is not None:
        if files.row_ids is not None:
            return OwnedFeatures(features, _by_row_ids(files.ids, ids, files.row_ids, captions, features.images))
        if len(ids) == captions and len(set(ids)) < captions:
            return _by_order(files, ids, features)
    owned = _by_count(files, captions, features)
    if ids is not None and len(ids) == captions == owned.features.images:
        _require_own_order(files, ids)
    return owned


def captions_of_images(image_of_caption: np.ndarray, images: int) -> list[np.ndarray]:
    """The captions of each of N images, in order; some may have none.

    Example:
        >>> captions_of_images(np.array([1, 0, 1]), 2)
        [array([1]), array([0, 2])]
    """
    order = np.argsort(image_of_caption, kind="stable")
    ends = np.cumsum(np.bincount(image_of_caption, minlength=images))
    return np.split(order, ends[:-1])


def gallery_ids(files: SplitFiles, image_of_caption: np.ndarray | None, images: int) -> list[str] | None:
    """The id of the image in each of N rows, as far as a file tells them; ``None`` where none does.

    Where the files do not fit there are more or fewer than N.

    Args:
        files: of the split.
        image_of_caption: (M,); ``None`` where no captions are at hand.
        images: N.

    Raises:
        UserError: if the file is unreadable.
    """
    if files.row_ids is not None:
        return read_ids(files.row_ids)
    if files.ids is None:
        return None
    ids = read_ids(files.ids)
    if image_of_caption is None or len(ids) != len(image_of_caption) or len(set(ids)) == len(ids):
        return read_image_ids(files.ids)
    first = np.full(images, -1)
    first[image_of_caption[::-1]] = np.arange(len(ids))[::-1]
    return [ids[caption] for caption in first.tolist() if caption >= 0]


def _by_row_ids(path: Path, ids: list[str], row_ids: Path, captions: int, images: int) -> np.ndarray:
    names = read_ids(row_ids)
    if len(names) != images:
        raise UserError(f"ids {row_ids}: {len(names):,} lines, the features have {images:,} images; one line an image")
    rows = {name: row for row, name in enumerate(names)}
    if len(rows) < images:
        line = next(line for line, name in enumerate(names, start=1) if rows[name] != line - 1)
        raise UserError(f"ids {row_ids}: line {line} has an id that stands twice, {shown(names[line - 1])}")
    if len(ids) != captions:
        raise UserError(
            f"ids {path}: {len(ids):,} lines, there are {captions:,} captions; beside {row_ids.name} it has one line "
            "a caption: the id of its image"
        )
    for line, name in enumerate(ids, start=1):
        if name not in rows:
            raise UserError(f"ids {path}: line {line} is {shown(name)}, which no line of {row_ids.name} is")
    return np.fromiter((rows[name] for name in ids), np.int64, captions)


def _by_order(files: SplitFiles, ids: list[str], features: RegionFeatures) -> OwnedFeatures:
    """Ids of captions that stand together, an image after the other."""
    first: dict[str, int] = {}
    advice = f"name the image of each row in {files.prefix}_image_ids.txt"
    for line, (before, name) in enumerate(pairwise(["", *ids]), start=1):
        if name in first and name != before:
            raise UserError(
                f"ids {files.ids}: line {line} has the id of line {first[name]}, {shown(name)}, and others stand "
                f"between; {advice}"
            )
        first.setdefault(name, line)
    found, rows = len(first), features.images
    places = {name: place for place, name in enumerate(first)}
    owners = np.fromiter((places[name] for name in ids), np.int64, len(ids))
    if found * CAPTIONS_PER_IMAGE == rows == len(ids) and (np.bincount(owners) == CAPTIONS_PER_IMAGE).all():
        features = features.repeated(CAPTIONS_PER_IMAGE)  # as some of SCAN's files
    elif found > rows:
        line = list(first.values())[rows]
        raise UserError(
            f"ids {files.ids}: line {line} names image {rows + 1:,} of {found:,}, the features have {rows:,}"
        )
    elif found < rows:
        raise UserError(
            f"ids {files.ids}: captions of {found:,} images, the features have {rows:,}; if some have no "
            f"caption, {advice}"
        )
    _require_own_order(files, list(first))
    return OwnedFeatures(features, owners)


def _require_own_order(files: SplitFiles, names: list[str]) -> None:
    """Refuse the numbers of the rows in another order than theirs, which could mean one thing or the other."""
    if not are_row_numbers(names) and any(
        set(names) == {str(start + row) for row in range(len(names))} for start in (0, 1)
    ):
        raise UserError(
            f"ids {files.ids}: the numbers of the {len(names):,} rows, but not in their order; name the image of each "
            f"row in {files.prefix}_image_ids.txt"
        )


def _by_count(files: SplitFiles, captions: int, features: RegionFeatures) -> OwnedFeatures:
    rows = features.images
    if captions == CAPTIONS_PER_IMAGE * rows:
        return OwnedFeatures(features, np.arange(captions) // CAPTIONS_PER_IMAGE)
    if captions == rows and _is_repeated(features):
        return OwnedFeatures(features.repeated(CAPTIONS_PER_IMAGE), np.arange(captions) // CAPTIONS_PER_IMAGE)
    if captions == rows:
        return OwnedFeatures(features, np.arange(captions))
    reason = "the two files are of different data sets or cut"
    if captions % rows == 0:
        reason = f"{captions // rows} an image, where five are expected"
    raise UserError(
        f"features {files.features}: {rows} images need {CAPTIONS_PER_IMAGE * rows} captions ({CAPTIONS_PER_IMAGE} "
        f"each), got {captions} in {files.captions.name}; {reason}; {files.prefix}_ids.txt, one line a caption, says "
        "it of any other number"
    )


def _is_repeated(features: RegionFeatures) -> bool:
    """Whether five rows and five rows are the same image, by a sample; the checks before a run look at all of them."""
    groups, rest = divmod(features.images, CAPTIONS_PER_IMAGE)
    if rest:
        return False
    images = np.unique(np.linspace(0, groups - 1, _SAMPLED_GROUPS).astype(np.int64))
    return len(features.repeated(CAPTIONS_PER_IMAGE).repeats_differ(images)) < len(images)
