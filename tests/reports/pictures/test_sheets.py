"""What the sheets show is where it should be, and fits."""

from __future__ import annotations

import numpy as np
from PIL import Image

from selfalign.reports.pictures.canvas import card, font, square, wrapped
from selfalign.reports.pictures.retrieval_sheet import (
    CaptionAnswer,
    CaptionQuery,
    ImageAnswer,
    ImageQuery,
    Shown,
    retrieval_sheet,
)
from selfalign.reports.pictures.word_sheet import ChosenRegion, WordChoices, word_sheet


def test_text_never_leaves_its_width() -> None:
    text = "a caption of many words " * 20 + "averyveryverylongwordwithoutanyspacesinit" * 5
    for most in (1, 3):
        lines = wrapped(text, font(13), 180, most)
        assert len(lines) == most
        assert all(font(13).getlength(line) <= 180 for line in lines)
        assert lines[-1].endswith("…")
    assert wrapped("short", font(13), 180, 3) == ["short"]


def test_a_photo_keeps_its_shape() -> None:
    tile = np.asarray(square(Image.new("RGB", (200, 100), "red"), 60))
    red = (tile == (255, 0, 0)).all(axis=-1)
    assert (red.any(axis=0).sum(), red.any(axis=1).sum()) == (60, 30)


def test_the_chosen_region_is_bright_and_the_rest_is_not() -> None:
    photo = Image.new("RGB", (100, 50), "white")
    word = ChosenRegion("ball", (0.5, 0.0, 1.0, 1.0), 0.4)
    page = np.asarray(word_sheet("title", [WordChoices("a ball", photo, (word,))]).convert("L"))
    rows = np.flatnonzero((page[:, 182 + 20 : 182 + 60] < 130).all(axis=1))  # the dimmed left half of the second tile
    assert len(rows) > 60
    middle = page[rows[len(rows) // 2]]
    assert (middle[182 + 5 : 182 + 70] < 130).all()
    assert (middle[182 + 80 : 182 + 145] == 255).all()


def test_a_right_answer_is_framed_and_a_wrong_one_is_not() -> None:
    green = (0, 122, 94)
    image = Shown("1.png", Image.new("RGB", (50, 50), "red"), "a red thing")
    for right in (True, False):
        caption = CaptionQuery("a thing", (ImageAnswer(image, 0.5, right),), image, 1 if right else 2)
        page = np.asarray(retrieval_sheet("title", [caption], []))
        framed = (page == green).all(axis=-1).sum(axis=1).max() > 100
        assert framed == right


def test_an_image_without_photograph_is_its_words() -> None:
    absent = Shown("7.png", None, "two dogs run")
    assert np.asarray(absent.tile(132)).std() > 0
    assert np.array_equal(np.asarray(absent.tile(132)), np.asarray(card("7.png: two dogs run", 132)))
    answers = (CaptionAnswer("two cats", 0.9, False),)
    query = ImageQuery(absent, answers, CaptionAnswer("two dogs run", 0.1, True), 2)
    longer = retrieval_sheet("title", [], [query, query, query])
    assert longer.height > retrieval_sheet("title", [], [query]).height
