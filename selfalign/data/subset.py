"""A part of a split, named by a file of ids."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from selfalign.data.image_ids import read_image_ids
from selfalign.data.layout import SplitFiles
from selfalign.data.ownership import gallery_ids
from selfalign.errors import UserError, shown
from selfalign.files.regular_files import read_regular

_LARGEST = 64 * 2**20
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")
_WHAT = {
    "ids": "images by their ids in {split}_ids.txt",
    "names": "images by their names in {split}_images.txt",
    "images": "images by their rows, from 0",
    "caption_ids": "captions by their ids in {split}_capids.txt",
    "captions": "captions by their lines, from 0",
}


def read_subset(path: Path, of: str, files: SplitFiles, image_of_caption: np.ndarray, images: int) -> np.ndarray:
    """(S,) int64 the captions of a subset, in the order of the split; an image brings all of its captions.

    Args:
        path: one id a line.
        of: what the ids are of: ``ids``, ``names`` or rows of ``images``, ``caption_ids`` or rows of ``captions``.
        files: of the split.
        image_of_caption: (M,) of the whole split.
        images: N of it.

    Raises:
        UserError: if the file has no id, one that the split has not, or one twice.
    """
    lines = _lines(path)
    rows = _rows(of, files, image_of_caption, images)
    chosen: set[int] = set()
    for number, line in enumerate(lines, start=1):
        found = rows.get(line)
        if found is None:
            what = _WHAT[of].format(split=files.split)
            raise UserError(
                f"subset {path}: line {number} is {shown(line)}, which split {files.split} has not; it names {what} "
                f"(subset.of={of})"
            )
        if found in chosen:
            raise UserError(f"subset {path}: line {number} names {shown(line)} for the second time")
        chosen.add(found)
    picked = np.array(sorted(chosen), np.int64)
    if of in ("captions", "caption_ids"):
        return picked
    captions = np.flatnonzero(np.isin(image_of_caption, picked))
    if not len(captions):
        raise UserError(f"subset {path}: none of its images has a caption")
    return captions


def _lines(path: Path) -> list[str]:
    try:
        text = read_regular(path, "subset", _LARGEST).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"subset {path}: not UTF-8 at byte {error.start}") from error
    lines = [line.strip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise UserError(f"subset {path}: the file is empty; expected one id a line")
    return lines


def _rows(of: str, files: SplitFiles, image_of_caption: np.ndarray, images: int) -> Mapping[str, int]:
    """Rows of the images or captions of a split by what the file calls them."""
    if of in ("images", "captions"):
        return {str(row): row for row in range(images if of == "images" else len(image_of_caption))}
    kept = {"ids": files.row_ids or files.ids, "names": files.images, "caption_ids": files.caption_ids}[of]
    if kept is None:
        ending = {"ids": "ids", "names": "images", "caption_ids": "capids"}[of]
        missing = files.root / f"{files.split}_{ending}.txt"
        raise UserError(f"subset.of={of}: {missing} is missing, which tells them; subset.of=images counts rows from 0")
    if of == "ids":
        known = gallery_ids(files, image_of_caption, images) or []
    else:
        known = _caption_ids(kept, len(image_of_caption)) if of == "caption_ids" else read_image_ids(kept)
    if of != "caption_ids" and len(known) != images:
        raise UserError(f"subset.of={of}: {kept} tells {len(known):,} images, the split has {images:,}")
    rows: dict[str, int] = {}
    for row, name in enumerate(known):
        for key in dict.fromkeys((name, PurePosixPath(name).name)) if of == "names" else (name,):
            if key in rows:
                raise UserError(f"subset.of={of}: {kept} has {shown(key)} twice; subset.of=images counts rows from 0")
            rows[key] = row
    return rows


def _caption_ids(path: Path, captions: int) -> list[str]:
    ids = _lines(path)
    if len(ids) != captions:
        raise UserError(f"subset.of=caption_ids: {path} has {len(ids):,} lines, the split {captions:,} captions")
    return ids


def as_ranges(rows: np.ndarray) -> str:
    """Ascending rows as text.

    Example:
        >>> as_ranges(np.array([0, 1, 2, 7, 9, 10]))
        '0-2,7,9-10'
    """
    parts = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
    return ",".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts)


def from_ranges(text: str, most: int) -> np.ndarray:
    """The inverse of :func:`as_ranges`; ``most`` is the number of rows that there are.

    Raises:
        ValueError: if the text is no ascending rows below ``most``.
    """
    parts = []
    for part in text.split(","):
        found = _RANGE.fullmatch(part)
        if found is None or not int(found[1]) <= int(found[2] or found[1]) < most:
            raise ValueError(f"expected rows below {most}, got {shown(part)}")
        parts.append(np.arange(int(found[1]), int(found[2] or found[1]) + 1))
    rows = np.concatenate(parts) if sum(map(len, parts)) <= most else np.zeros(2, np.int64)
    if (np.diff(rows) < 1).any():
        raise ValueError("expected ascending rows")
    return rows
