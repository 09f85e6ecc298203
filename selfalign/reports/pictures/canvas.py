"""What the sheets are drawn with: text that fits, photographs that fit, a page that grows downwards."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

INK, GREY, PALE, GREEN, ORANGE = "#1a1a1a", "#6e6e6e", "#eeeeee", "#007a5e", "#d55e00"
"""Green and orange are told apart by colour-blind eyes."""
_MARGIN = 20


@functools.cache
def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings, in pixels."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), size)


def wrapped(text: str, face: ImageFont.FreeTypeFont, width: int, most: int) -> list[str]:
    """``text`` in at most ``most`` lines of ``width`` pixels; what does not fit ends in an ellipsis."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if face.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > most:
        lines = [*lines[: most - 1], f"{lines[most - 1]} …"]
    return [_cut(line, face, width) for line in lines]


def _cut(line: str, face: ImageFont.FreeTypeFont, width: int) -> str:
    if face.getlength(line) <= width:
        return line
    line = line.removesuffix(" …")
    while line and face.getlength(f"{line}…") > width:
        line = line[:-1].rstrip()
    return f"{line}…"


def square(photo: Image.Image, side: int) -> Image.Image:
    """The whole photograph in the middle of a pale square."""
    scale = side / max(photo.size)
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    tile = Image.new("RGB", (side, side), PALE)
    tile.paste(photo.resize(size, Image.Resampling.LANCZOS), ((side - size[0]) // 2, (side - size[1]) // 2))
    return tile


def card(text: str, side: int) -> Image.Image:
    """A square with words, in place of a photograph that is not there."""
    tile = Image.new("RGB", (side, side), PALE)
    face, brush = font(11), ImageDraw.Draw(tile)
    for row, line in enumerate(wrapped(text, face, side - 12, (side - 12) // 15)):
        brush.text((6, 6 + 15 * row), line, fill=GREY, font=face)
    return tile


class Page:
    """A white page of a fixed width, written from top to bottom.

    Args:
        width: in pixels, margins counted.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.top = _MARGIN
        self._picture = Image.new("RGB", (width, 200), "white")

    @property
    def left(self) -> int:
        """Where lines begin."""
        return _MARGIN

    @property
    def inner(self) -> int:
        """Width between the margins."""
        return self.width - 2 * _MARGIN

    def text(
        self,
        place: tuple[int, int],
        lines: Sequence[str],
        size: int = 13,
        *,
        fill: str = INK,
        bold: bool = False,
        centred: bool = False,
    ) -> int:
        """Write lines, the first at x and y, around x where ``centred``; the y below the last."""
        x, y = place
        face = font(size, bold=bold)
        self._reach(y + len(lines) * (size + 5))
        brush = ImageDraw.Draw(self._picture)
        for line in lines:
            brush.text((x - face.getlength(line) / 2 if centred else x, y), line, fill=fill, font=face)
            y += size + 5
        return y

    def tile(self, place: tuple[int, int], tile: Image.Image, frame: str | None = None) -> int:
        """Put a picture at x and y, framed in a colour; the y below it."""
        x, y = place
        self._reach(y + tile.height + 4)
        self._picture.paste(tile, place)
        if frame is not None:
            corners = (x - 4, y - 4, x + tile.width + 3, y + tile.height + 3)
            ImageDraw.Draw(self._picture).rectangle(corners, outline=frame, width=4)
        return y + tile.height

    def rule(self, gap: int) -> None:
        """A thin line, and go on below it."""
        self.top += gap
        self._reach(self.top + 1)
        ImageDraw.Draw(self._picture).line((_MARGIN, self.top, self.width - _MARGIN, self.top), fill="#d0d0d0")
        self.top += gap

    def picture(self) -> Image.Image:
        """What was written so far."""
        return self._picture.crop((0, 0, self.width, self.top + _MARGIN))

    def _reach(self, bottom: int) -> None:
        if bottom + _MARGIN > self._picture.height:
            taller = Image.new("RGB", (self.width, 2 * bottom + _MARGIN), "white")
            taller.paste(self._picture)
            self._picture = taller
