"""Checks of what is text in a split: captions and image ids."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from selfalign.data.checks.findings import Finding, counted
from selfalign.data.image_ids import CAPTIONS_PER_IMAGE, read_image_ids, stays_inside
from selfalign.data.layout import SplitFiles
from selfalign.data.ownership import captions_of_images, gallery_ids
from selfalign.data.text.caption_forms import conversion_advice, distributed_form
from selfalign.data.text.captions import refused_caption
from selfalign.errors import UserError, shown

_MANY_WORDS = 100
_STRANGE: dict[str, Callable[[str], object]] = {
    f"has more than {_MANY_WORDS} words": lambda caption: caption.count(" ") >= _MANY_WORDS,
    "has no letters": lambda caption: not any(map(str.isalpha, caption)),
    "holds the replacement character: it was decoded wrongly": lambda caption: "\ufffd" in caption,
    "holds HTML": re.compile(r"</?[a-zA-Z][^<>]*>|&(?:[a-z]{2,8}|#\d+);").search,
    "holds control characters": re.compile(r"[\x00-\x08\x0b-\x1f\x7f]").search,
}


def caption_findings(
    name: str, path: Path, captions: Sequence[str], owners: np.ndarray | None = None, images: int = 0
) -> Iterator[Finding]:
    """Captions that cannot be, and those that are strange, by kind, with the first line of each.

    Args:
        name: of the split.
        path: of its captions.
        captions: its lines.
        owners: (M,) image of each; ``None`` where that is not known.
        images: N, some of which may have no caption.
    """
    about = f"{name} captions"
    refused = [(line, found) for line, text in enumerate(captions, start=1) if (found := refused_caption(text))]
    if refused:
        line, fault = refused[0]
        yield Finding("error", about, f"captions {path}: line {line} {fault} ({counted(len(refused), 'such line')})")
    form = distributed_form(captions)
    if form is not None:
        yield Finding("error", about, conversion_advice(path, form))
    for problem, strange in _STRANGE.items():
        lines = [line for line, caption in enumerate(captions, start=1) if strange(caption)]
        if lines:
            line, count = lines[0], len(lines)
            start = ascii(captions[line - 1][:40])
            yield Finding(
                "warning", about, f"captions {path}: line {line} {problem}: {start} ({counted(count, 'such line')})"
            )
    if owners is not None and len(owners):
        yield from _repeating(about, path, captions, captions_of_images(owners, int(owners.max()) + 1))
    if not refused and form is None:
        words = sum(caption.count(" ") + 1 for caption in captions) / max(1, len(captions))
        each = "" if owners is None else f", {_numbers_of_captions(owners, images)}"
        yield Finding("ok", about, f"{len(captions):,} captions{each}, {words:.1f} words each")


def _repeating(about: str, path: Path, captions: Sequence[str], own: list[np.ndarray]) -> Iterator[Finding]:
    """Images whose several captions are all the same one."""
    alone = [
        image for image, rows in enumerate(own) if len(rows) > 1 and len({captions[row] for row in rows.tolist()}) == 1
    ]
    if alone:
        yield Finding(
            "warning",
            about,
            f"captions {path}: the captions of image {alone[0]} are {len(own[alone[0]])} times the same "
            f"({counted(len(alone), 'such image')})",
        )


def _numbers_of_captions(owners: np.ndarray, images: int) -> str:
    counts = np.bincount(owners, minlength=images)
    least, most = counts[counts > 0].min(), counts.max()
    without = int((counts == 0).sum())
    none = f" ({counted(without, 'image')} without)" if without else ""
    return f"{least if least == most else f'{least} to {most}'} an image{none}"


def id_findings(files: SplitFiles, owners: np.ndarray | None, images: int) -> Iterator[Finding]:
    """Image ids that are unique and as many as images."""
    about, path = f"{files.split} ids", files.row_ids or files.ids
    try:
        ids = gallery_ids(files, owners, images) or []
    except UserError as error:
        yield Finding("error", about, str(error))
        return
    fits = len(ids) in (images, CAPTIONS_PER_IMAGE * images)
    if not fits:
        yield Finding(
            "error",
            about,
            f"ids {path}: {len(ids):,} images, the features have {images:,}; the files are of different extractions",
        )
    seen: dict[str, int] = {}
    doubled = [(row, seen[identity]) for row, identity in enumerate(ids) if seen.setdefault(identity, row) != row]
    if doubled:
        row, first = doubled[0]
        yield Finding(
            "error",
            about,
            f"ids {path}: row {row} has the id {ids[row]} of row {first} ({counted(len(doubled), 'such row')})",
        )
    if fits and not doubled:
        yield Finding("ok", about, f"{len(ids):,} ids, each once")


def image_name_findings(name: str, path: Path) -> Iterator[Finding]:
    """Names of photographs that stay in their folder."""
    try:
        names = read_image_ids(path)
    except UserError as error:
        yield Finding("error", f"{name} images", str(error))
        return
    outside = [row for row, image in enumerate(names) if not stays_inside(image)]
    if outside:
        yield Finding(
            "error",
            f"{name} images",
            f"images {path}: row {outside[0]} names {shown(names[outside[0]])}, which leaves the photographs' folder "
            f"({counted(len(outside), 'such row')}); names are relative and hold no ..",
        )
