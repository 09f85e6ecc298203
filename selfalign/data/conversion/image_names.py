"""One image under several names: with or without folder and ending, COCO's number alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

_NAMED = 3


def image_keys(image: str) -> list[str]:
    """What an image may be called elsewhere: with or without folder and ending, or COCO's number alone.

    Example:
        >>> image_keys("val2014/COCO_val2014_000000000042.jpg")[-1]
        '42'
    """
    stem = Path(image).stem if re.search(r"\.[A-Za-z]{3,4}$", image) else Path(image).name
    number = re.fullmatch(r"(?:COCO_[a-z]+\d+_)?0*(\d+)", stem)
    return list(dict.fromkeys([image, Path(image).name, stem, *([number[1]] if number else [])]))


class ImageNames:
    """Finds images by whatever they are called; a name that two of them could have finds neither.

    Args:
        images: their names, each once.
    """

    def __init__(self, images: Sequence[str]) -> None:
        self._known = {image: row for row, image in enumerate(images)}
        self._by_key: dict[str, int | None] = {}
        for row, image in enumerate(images):
            for key in image_keys(image):
                self._by_key[key] = row if self._by_key.setdefault(key, row) == row else None

    def find(self, image: str) -> int | None:
        """The place in the list of the image that is called so; ``None`` where there is none, or more than one."""
        if image in self._known:
            return self._known[image]
        found = (self._by_key.get(key) for key in image_keys(image))
        return next((row for row in found if row is not None), None)


def first_names(images: Iterable[str]) -> str:
    """The first few, for messages."""
    names = list(images)
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
