"""Boxes of what the sentences of an image name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from selfalign.errors import UserError
from selfalign.files.xml_trees import read_xml

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, eq=False)
class ImageBoxes:
    """What an annotation file says.

    Attributes:
        size: width and height of the image, in pixels; ``None`` where the file does not tell.
        boxes: by id (K, 4) float32, x1 y1 x2 y2 in pixels from 0.
        without: ids that are said to have no box, or to be the whole scene.
    """

    size: tuple[float, float] | None
    boxes: Mapping[str, np.ndarray]
    without: frozenset[str]


def read_annotations(path: Path) -> ImageBoxes:
    """The boxes of an image; the file counts pixels from 1, as its authors' own reader undoes.

    Raises:
        UserError: if the file is missing, hostile, or a box is none.
    """
    root = read_xml(path, "annotations")
    boxes: dict[str, list[list[float]]] = {}
    without: set[str] = set()
    try:
        for thing in root.iter("object"):
            ids = [(name.text or "").strip() for name in thing.findall("name")]
            if not all(ids) or not ids:
                raise ValueError("an object without a name")
            found = [_box(box) for box in thing.findall("bndbox")]
            for identity in ids:
                if found:
                    boxes.setdefault(identity, []).extend(found)
                else:
                    without.add(identity)
        size = _size(root)
    except ValueError as error:
        raise UserError(f"annotations {path}: {error}") from error
    arrays = {identity: np.asarray(own, np.float32) for identity, own in boxes.items()}
    return ImageBoxes(size, arrays, frozenset(without - set(boxes)))


def _box(box: Element) -> list[float]:
    x1, y1, x2, y2 = (_number(box, name) - 1 for name in _CORNERS)
    if x2 < x1 or y2 < y1:
        raise ValueError(f"a box that ends before it begins, {x1:g} {y1:g} {x2:g} {y2:g}")
    return [x1, y1, x2, y2]


def _size(root: Element) -> tuple[float, float] | None:
    size = root.find("size")
    if size is None:
        return None
    width, height = _number(size, "width"), _number(size, "height")
    return (width, height) if min(width, height) > 0 else None


def _number(parent: Element, name: str) -> float:
    text = (parent.findtext(name) or "").strip()
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or abs(value) > 1e6:
        raise ValueError(f"{name}: expected a number of pixels, got {text[:40]!r}")
    return value
