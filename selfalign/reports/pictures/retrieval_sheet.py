"""A few queries and what the model found for them, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from selfalign.reports.pictures.canvas import GREEN, GREY, INK, ORANGE, Page, card, font, square, wrapped

_SIDE = 132
_GAP = 14
_QUERY = 230


@dataclass(frozen=True)
class Shown:
    """An image of the gallery.

    Attributes:
        name: of it.
        photo: ``None`` where there is none.
        words: its first caption, which stands for it without a photo.
    """

    name: str
    photo: Image.Image | None
    words: str

    def tile(self, side: int) -> Image.Image:
        """The photo, or its words."""
        return card(f"{self.name}: {self.words}", side) if self.photo is None else square(self.photo, side)


@dataclass(frozen=True)
class ImageAnswer:
    """An image found for a caption."""

    image: Shown
    score: float
    right: bool


@dataclass(frozen=True)
class CaptionAnswer:
    """A caption found for an image."""

    text: str
    score: float
    right: bool


@dataclass(frozen=True)
class CaptionQuery:
    """A caption, the images found for it, best first, and the right one with its rank from 1."""

    text: str
    answers: tuple[ImageAnswer, ...]
    right: Shown
    rank: int


@dataclass(frozen=True)
class ImageQuery:
    """An image, the captions found for it, best first, and the best of the right ones with its rank from 1."""

    image: Shown
    answers: tuple[CaptionAnswer, ...]
    right: CaptionAnswer
    rank: int


def retrieval_sheet(title: str, captions: Sequence[CaptionQuery], images: Sequence[ImageQuery]) -> Image.Image:
    """Draw caption queries with the images found, and image queries with the captions found.

    Args:
        title: what the gallery is, and when this was.
        captions, images: the queries.
    """
    page = Page(_QUERY + 6 * (_SIDE + _GAP) + 64)
    page.top = page.text((page.left, page.top), [title], 15, bold=True)
    explained = "Best first, with similarity. Green: right."
    if any(image.photo is None for image in _images(captions, images)):
        explained += " Grey: an image whose photograph is not there, shown as its first caption."
    page.top = page.text((page.left, page.top + 2), [explained], fill=GREY)
    page.rule(10)
    _heading(page, "Caption → images")
    for caption in captions:
        _caption_row(page, caption)
        page.rule(12)
    _heading(page, "Image → captions")
    for number, image in enumerate(images):
        _image_row(page, image)
        if number < len(images) - 1:
            page.rule(12)
    return page.picture()


def _images(captions: Sequence[CaptionQuery], images: Sequence[ImageQuery]) -> list[Shown]:
    found = [answer.image for query in captions for answer in query.answers]
    return [*found, *(query.right for query in captions), *(query.image for query in images)]


def _heading(page: Page, text: str) -> None:
    page.top = page.text((page.left, page.top), [text], 15, bold=True) + 8


def _caption_row(page: Page, query: CaptionQuery) -> None:
    lines = wrapped(query.text, font(14), _QUERY - 20, 6)
    below = page.text((page.left, page.top), lines, 14)
    _rank(page, (page.left, below + 6), f"right image at rank {query.rank:,}", query.rank)
    x = page.left + _QUERY
    for answer in query.answers:
        frame = GREEN if answer.right else None
        bottom = page.tile((x, page.top), answer.image.tile(_SIDE), frame)
        colour = GREEN if answer.right else INK
        page.text((x + _SIDE // 2, bottom + 6), [f"{answer.score:.2f}"], fill=colour, bold=answer.right, centred=True)
        x += _SIDE + _GAP
    x = page.width - page.left - _SIDE
    bottom = page.tile((x, page.top), query.right.tile(_SIDE))
    bottom = page.text((x + _SIDE // 2, bottom + 6), ["the right image"], fill=GREY, centred=True)
    page.top = max(bottom, below + 24)


def _image_row(page: Page, query: ImageQuery) -> None:
    bottom = page.tile((page.left, page.top), query.image.tile(_SIDE))
    x, y = page.left + _SIDE + 24, page.top
    y = _rank(page, (x, y), f"best right caption at rank {query.rank:,}", query.rank) + 4
    unseen = query.rank > len(query.answers)
    for answer in (*query.answers, *([query.right] if unseen else [])):
        colour = GREEN if answer.right else INK
        if answer is query.right:
            y = page.text((x, y - 8), ["⋮"], fill=GREY)
        page.text((x, y), [f"{answer.score:.2f}"], fill=colour, bold=answer.right)
        line = wrapped(answer.text, font(13, bold=answer.right), page.width - page.left - x - 50, 1)
        y = page.text((x + 50, y), line, fill=colour, bold=answer.right) + 3
    page.top = max(bottom, y)


def _rank(page: Page, place: tuple[int, int], text: str, rank: int) -> int:
    return page.text(place, [text], 13, bold=True, fill=GREEN if rank == 1 else ORANGE)
