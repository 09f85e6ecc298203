"""Pictures as a part of the page: data: addresses, of a bounded size together."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from selfalign.errors import UserError
from selfalign.files.regular_files import read_regular

ROOM = 4_200_000
"""Characters of all pictures together: the page stays below 5 MB."""
_LARGEST_FILE = 64 * 2**20
_MOST_PIXELS = 2**25
_SHEET_WIDTH = 1200


@dataclass(frozen=True)
class Picture:
    """One, ready for ``<img src>``."""

    address: str
    width: int
    height: int


class Album:
    """All pictures of a page; those that find no room any more are counted.

    Args:
        room: characters.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._left = room
        self.left_out = 0

    def photograph(self, photo: Image.Image | None, side: int) -> Picture | None:
        """A photograph, at most ``side`` pixels a side; ``None`` where there is none, or no room."""
        if photo is None:
            return None
        small = photo.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        return self._kept(small, "JPEG", quality=82, optimize=True)

    def sheet(self, path: Path) -> Picture | None:
        """A picture that a run drew; ``None`` where there is none, it is damaged, or there is no room."""
        try:
            opened = Image.open(io.BytesIO(read_regular(path, "picture", _LARGEST_FILE)), formats=["PNG"])
            if opened.width * opened.height > _MOST_PIXELS:  # before it is unpacked
                return None
            picture = opened.convert("RGB")
        except (UserError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return None
        if picture.width > _SHEET_WIDTH:
            height = round(picture.height * _SHEET_WIDTH / picture.width)
            picture = picture.resize((_SHEET_WIDTH, height), Image.Resampling.LANCZOS)
        return self._kept(picture, "WEBP", quality=80)

    def _kept(self, picture: Image.Image, kind: str, **options: object) -> Picture | None:
        content = io.BytesIO()
        picture.save(content, kind, **options)
        address = f"data:image/{kind.lower()};base64,{base64.b64encode(content.getvalue()).decode()}"
        if len(address) > self._left:
            self.left_out += 1
            return None
        self._left -= len(address)
        return Picture(address, picture.width, picture.height)
