"""SCAN's folder layout: which files a split has."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from selfalign.errors import UserError

_NAMES = {
    "features": ("ims.npy", "feats.npy", "features.npy"),
    "captions": ("caps.txt", "captions.txt"),
    "boxes": ("boxes.npy", "bbx.npy", "bboxes.npy"),
    "sizes": ("img_sizes.npy", "sizes.npy", "img_size.npy"),
    "ids": ("ids.txt",),
    "row_ids": ("image_ids.txt",),
    "counts": ("num_regions.npy",),
    "offsets": ("offsets.npy",),
    "caption_ids": ("capids.txt",),
    "images": ("images.txt",),
    "alignments": ("alignments.npy",),
}
_SPLIT_ALIASES = {"dev": ("dev", "val", "valid"), "val": ("val", "dev", "valid"), "testall": ("testall", "test5k")}


@dataclass(frozen=True)
class SplitFiles:
    """The files of one split; ``None`` where there is none.

    Attributes:
        split: name as asked for.
        features: region features, (N, R, F).
        captions: one caption a line.
        boxes: (N, R, 4), x1 y1 x2 y2 in pixels.
        sizes: (N, 2), width and height in pixels.
        ids: id of the image of every caption, or of every image.
        row_ids: id of the image in every row of the features.
        counts: (N,) regions that are real.
        offsets: (N + 1,) where each image begins, where the regions stand one after the other.
        caption_ids: number of every caption in its data set.
        images: picture file name of every image.
        alignments: (K, 6), caption, word, true box; built-in data only.
    """

    split: str
    features: Path
    captions: Path
    boxes: Path | None
    sizes: Path | None
    ids: Path | None
    images: Path | None
    alignments: Path | None
    caption_ids: Path | None = None
    row_ids: Path | None = None
    counts: Path | None = None
    offsets: Path | None = None

    @property
    def prefix(self) -> str:
        """How the names of its files begin: another variant of the split's name may be there, as ``val`` of ``dev``."""
        return self.features.name.rpartition("_")[0]

    @property
    def root(self) -> Path:
        """The folder of the data set."""
        return self.features.parent


def find_split(root: Path, split: str, *, captions: bool = True) -> SplitFiles:
    """The files of ``split`` in ``root``; known variants of their names are accepted, all files from one variant.

    Args:
        root: the folder.
        split: its name.
        captions: whether they have to be there; photographs to be searched have none, and ``captions`` is then the
            place where they would be.

    Raises:
        UserError: if the folder, the features or the captions are missing.
    """
    _require_folder(root)
    prefix = _prefix(root, split, "captions" if captions else "features")
    found = {kind: _find(root, prefix, names) for kind, names in _NAMES.items()}
    features, texts = found.pop("features"), found.pop("captions")
    if texts is None and not captions:
        texts = root / f"{prefix}_{_NAMES['captions'][0]}"
    if features is None or texts is None:
        missing = "features" if features is None else "captions"
        tried = ", ".join(f"{prefix}_{name}" for name in _NAMES[missing])
        raise UserError(f"data folder {root}: no {missing} of split {split!r} (tried {tried}); {_splits(root)}")
    return SplitFiles(split=split, features=features, captions=texts, **found)


def split_file(root: Path, split: str, kind: str) -> Path:
    """One file of a split, for whoever needs no features.

    Args:
        root: the folder.
        split: its name.
        kind: as :class:`SplitFiles` calls it.

    Returns:
        its place, where there may be no file.

    Raises:
        UserError: if the folder is missing.
    """
    _require_folder(root)
    prefix = _prefix(root, split, "captions")
    return _find(root, prefix, _NAMES[kind]) or root / f"{prefix}_{_NAMES[kind][0]}"


def require_distinct_files(splits: Sequence[SplitFiles]) -> None:
    """Refuse splits of two names that are the same: by variants of a split's name, by links, or as copies.

    Raises:
        UserError: naming both splits and the file.
    """
    for first, second in combinations(splits, 2):
        for one, other in ((first.features, second.features), (first.captions, second.captions)):
            if (same := _sameness(one, other)) is not None:
                raise UserError(
                    f"data: the splits {first.split} and {second.split} {same} {one.resolve()}; "
                    "training, validation and test need three splits"
                )


def _sameness(one: Path, other: Path) -> str | None:
    """How two files are the same; ``None`` if they differ. Files that differ do so in their first bytes or size."""
    try:
        if one.samefile(other):
            return "are the same file"
        if one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False):
            return "are copies of one another,"
    except OSError as error:
        raise UserError(f"data: {error.filename} cannot be read ({error.strerror})") from error
    return None


def _require_folder(root: Path) -> None:
    try:
        with os.scandir(root):
            return
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"data folder {root}: no such folder; expected one in SCAN's layout") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"data folder {root}: cannot be read ({reason})") from error


def _prefix(root: Path, split: str, named_by: str) -> str:
    """The variant of a split's name that the folder has, or ``split``."""
    aliases = _SPLIT_ALIASES.get(split, (split,))
    return next((alias for alias in aliases if _find(root, alias, _NAMES[named_by]) is not None), split)


def _find(root: Path, prefix: str, names: tuple[str, ...]) -> Path | None:
    candidates = (root / f"{prefix}_{name}" for name in names)
    return next((path for path in candidates if os.path.lexists(path)), None)


def _splits(root: Path) -> str:
    ending = "_" + _NAMES["captions"][0]
    there = sorted(path.name.removesuffix(ending) for path in root.glob(f"*{ending}"))
    return f"splits there: {', '.join(there)}" if there else "no captions of any split are there"
