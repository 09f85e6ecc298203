"""The region that each word of a few captions chose, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageEnhance

from selfalign.reports.pictures.canvas import GREY, ORANGE, Page, font, square, wrapped

_SIDE = 150
_GAP = 12
_MOST_WORDS = 6
_DIMMED = 0.45


@dataclass(frozen=True)
class ChosenRegion:
    """A word and its most similar region.

    Attributes:
        word: as it stands in the caption.
        box: x1, y1, x2, y2 of the region, as shares of the photo's width and height.
        similarity: of the two.
    """

    word: str
    box: tuple[float, float, float, float]
    similarity: float


@dataclass(frozen=True)
class WordChoices:
    """A caption, its photo and what its words chose."""

    caption: str
    photo: Image.Image
    words: tuple[ChosenRegion, ...]


def word_sheet(title: str, examples: Sequence[WordChoices]) -> Image.Image:
    """Draw each photo, then once more for each of the first words, all but the chosen region dimmed.

    Args:
        title: when this was.
        examples: pairs.
    """
    page = Page(40 + (1 + _MOST_WORDS) * (_SIDE + _GAP) - _GAP)
    page.top = page.text((page.left, page.top), [title], 15, bold=True)
    explained = (
        "The first words of a caption, little ones left out, each with its most similar region of the right image "
        "and their similarity; all else is darkened."
    )
    page.top = page.text((page.left, page.top + 2), [explained], fill=GREY)
    for example in examples:
        page.rule(10)
        lines = wrapped(example.caption, font(14), page.inner, 2)
        page.top = page.text((page.left, page.top), lines, 14) + 4
        bottom = page.tile((page.left, page.top), square(example.photo, _SIDE))
        for place, word in enumerate(example.words[:_MOST_WORDS], start=1):
            x = page.left + place * (_SIDE + _GAP)
            page.tile((x, page.top), _highlighted(example.photo, word.box))
            label = wrapped(f"{word.word}  {word.similarity:.2f}", font(13, bold=True), _SIDE, 1)
            page.text((x + _SIDE // 2, bottom + 5), label, bold=True, centred=True)
        page.top = bottom + 24
    return page.picture()


def _highlighted(photo: Image.Image, box: tuple[float, float, float, float]) -> Image.Image:
    """The photo, dimmed outside the box."""
    scale = _SIDE / max(photo.size)
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    bright = photo.resize(size, Image.Resampling.LANCZOS)
    x1, x2 = (min(max(round(share * size[0]), 0), size[0]) for share in box[::2])
    y1, y2 = (min(max(round(share * size[1]), 0), size[1]) for share in box[1::2])
    dark = ImageEnhance.Brightness(bright).enhance(_DIMMED)
    corners = (x1, y1, max(x2, x1 + 1), max(y2, y1 + 1))
    dark.paste(bright.crop(corners), corners[:2])
    ImageDraw.Draw(dark).rectangle((corners[0], corners[1], corners[2] - 1, corners[3] - 1), outline=ORANGE, width=2)
    return square(dark, _SIDE)
