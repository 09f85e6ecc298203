"""Phrases with the region that each chose, hits and misses, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from selfalign.reports.pictures.canvas import GREEN, GREY, INK, ORANGE, Page, font, square, wrapped

_SIDE = 190
_GAP = 16
_COLUMNS = 5

Box = tuple[float, float, float, float]
"""x1 y1 x2 y2, as shares of the photo's width and height."""


@dataclass(frozen=True)
class GroundedPhrase:
    """A phrase in its photograph: what it chose, and the true boxes."""

    phrase: str
    photo: Image.Image
    chosen: Box
    true: tuple[Box, ...]


def phrase_sheet(title: str, hits: Sequence[GroundedPhrase], misses: Sequence[GroundedPhrase]) -> Image.Image:
    """Draw hits, then misses: the true boxes green, the chosen region orange.

    Args:
        title: of which model and data.
        hits, misses: phrases.
    """
    page = Page(40 + _COLUMNS * (_SIDE + _GAP) - _GAP)
    page.top = page.text((page.left, page.top), [title], 15, bold=True)
    page.top = page.text((page.left, page.top + 2), ["Green: true boxes. Orange: the chosen region."], fill=GREY)
    for heading, phrases in (("Hits: the region overlaps a true box by half", hits), ("Misses", misses)):
        if not phrases:
            continue
        page.rule(10)
        page.top = page.text((page.left, page.top), [heading], 15, bold=True) + 6
        for start in range(0, len(phrases), _COLUMNS):
            _row(page, phrases[start : start + _COLUMNS])
    return page.picture()


def _row(page: Page, phrases: Sequence[GroundedPhrase]) -> None:
    lowest = page.top
    for place, one in enumerate(phrases):
        x = page.left + place * (_SIDE + _GAP)
        bottom = page.tile((x, page.top), _drawn(one))
        lines = wrapped(one.phrase, font(13, bold=True), _SIDE, 2)
        lowest = max(lowest, page.text((x + _SIDE // 2, bottom + 5), lines, fill=INK, bold=True, centred=True))
    page.top = lowest + 8


def _drawn(one: GroundedPhrase) -> Image.Image:
    photo = one.photo
    scale = _SIDE / max(photo.size)
    photo = photo.resize((max(1, round(photo.width * scale)), max(1, round(photo.height * scale))))
    brush = ImageDraw.Draw(photo)
    for colour, boxes, width in ((GREEN, one.true, 4), (ORANGE, (one.chosen,), 2)):
        for x1, y1, x2, y2 in boxes:
            left, right = sorted((round(x1 * photo.width), round(x2 * photo.width)))
            top, bottom = sorted((round(y1 * photo.height), round(y2 * photo.height)))
            brush.rectangle(
                (left, top, right - 1 if right > left else right, max(top, bottom - 1)), None, colour, width
            )
    return square(photo, _SIDE)
