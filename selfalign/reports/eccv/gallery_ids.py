"""Which image and caption of COCO each row of a gallery is: proven by files of the data folder, or refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from selfalign.data.image_ids import read_image_ids
from selfalign.data.layout import split_file
from selfalign.data.text.captions import read_captions
from selfalign.errors import UserError, shown
from selfalign.files.json_stream import json_elements
from selfalign.files.regular_files import read_regular
from selfalign.reports.eccv.official import Official
from selfalign.runs.ranks_file import fingerprint

ANNOTATIONS = "captions_val2014.json"
_PER_IMAGE = 5
_LARGEST = 2**20
"""Bytes of 25,000 ids of captions; they have 150,000."""
_NUMBER = re.compile(r"(?:COCO_val2014_)?0*([1-9]\d{0,11})(?:\.jpg)?")
_UNSPOKEN = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class GalleryIds:
    """COCO's ids.

    Attributes:
        images: (N) of the rows.
        captions: (M) of the rows.
        order: what the order of the captions inside an image was taken from, in words.
    """

    images: list[int]
    captions: list[int]
    order: str


def gallery_ids(data: Path, split: str, official: Official, queries: str) -> GalleryIds:
    """The ids of the rows of ``split`` in the folder ``data``.

    Args:
        data: has ``{split}_ids.txt`` and the captions, and may have ``{split}_capids.txt`` or COCO's annotations.
        split: COCO's 5,000 test images.
        official: knows their ids and order.
        queries: fingerprint of the captions that were evaluated.

    Raises:
        UserError: if the ids are missing or others, or the captions are not those evaluated.
    """
    _require_images(split_file(data, split, "ids"), official.image_ids)
    path = split_file(data, split, "captions")
    texts = read_captions(path)
    if fingerprint(texts, [row // _PER_IMAGE for row in range(len(texts))]) != queries:
        raise UserError(f"captions {path}: not those that were evaluated; --data names the folder that eval.py read")
    numbered, annotated = split_file(data, split, "caption_ids"), data / ANNOTATIONS
    if numbered.exists():
        return GalleryIds(official.image_ids, _numbered(numbered, official), numbered.name)
    if annotated.exists():
        return GalleryIds(official.image_ids, _annotated(annotated, path, texts, official), ANNOTATIONS)
    return GalleryIds(official.image_ids, [one for five in official.caption_ids for one in five], "assumed: ascending")


def _require_images(path: Path, expected: Sequence[int]) -> None:
    if not path.exists():
        raise UserError(f"ids {path}: no such file; it has to say which image of COCO each row is, one id a line")
    found = [_number(line) for line in read_image_ids(path)]
    if len(found) != len(expected):
        raise UserError(f"ids {path}: {len(found):,} images; COCO's test split (Karpathy's) has {len(expected):,}")
    for row, (one, other) in enumerate(zip(found, expected, strict=True)):
        if one != other:
            what = "no id of COCO" if one is None else f"image {one}"
            raise UserError(
                f"ids {path}: row {row} is {what}, expected image {other}: not COCO's test split in Karpathy's order"
            )


def _number(identity: str) -> int | None:
    """COCO's number of an image, from it or from the name of the picture."""
    match = _NUMBER.fullmatch(identity)
    return int(match[1]) if match else None


def _numbered(path: Path, official: Official) -> list[int]:
    lines = read_regular(path, "caption ids", _LARGEST).decode("utf-8-sig", "replace").split()
    if (count := _PER_IMAGE * len(official.image_ids)) != len(lines):
        raise UserError(f"caption ids {path}: {len(lines):,} ids, expected {count:,}, one a caption")
    found = [_number(line) or 0 for line in lines]
    for row, (own, expected) in enumerate(zip(_fives(found), official.caption_ids, strict=True)):
        if sorted(own) != sorted(expected):
            line = next((place for place, one in enumerate(own) if one not in expected), 0) + _PER_IMAGE * row
            raise UserError(
                f"caption ids {path}: line {line + 1}, {shown(lines[line])}, is none or not the only one of the five "
                f"captions of image {official.image_ids[row]}"
            )
    return found


def _annotated(path: Path, captions: Path, texts: Sequence[str], official: Official) -> list[int]:
    """The ids of captions by what they say; those of one image that say the same stay in ascending order."""
    wanted = {identity for five in official.caption_ids for identity in five}
    spoken: dict[int, str] = {}
    for name, value in json_elements(path, "annotations"):
        identity = value.get("id") if name == "annotations" and isinstance(value, dict) else None
        if isinstance(identity, int) and identity in wanted:
            spoken[identity] = _words(str(value.get("caption")))
    if missing := wanted - spoken.keys():
        raise UserError(f"annotations {path}: no caption {min(missing)}; expected COCO's {ANNOTATIONS}")
    found = []
    for row, five in enumerate(official.caption_ids):
        left = sorted(five)
        for place, text in enumerate(texts[row * _PER_IMAGE : (row + 1) * _PER_IMAGE]):
            match = next((identity for identity in left if spoken[identity] == _words(text)), None)
            if match is None:
                raise UserError(
                    f"captions {captions}: line {row * _PER_IMAGE + place + 1} is no caption of image "
                    f"{official.image_ids[row]} in {path.name}"
                )
            left.remove(match)
            found.append(match)
    return found


def _words(text: str) -> str:
    """What is left of a caption that was lower-cased or split into words."""
    return _UNSPOKEN.sub("", text.casefold())


def _fives(values: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(values), _PER_IMAGE):
        yield values[start : start + _PER_IMAGE]
