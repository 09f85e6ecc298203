"""Which image a caption describes: from ids, from numbers, or one line that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from selfalign.data.layout import find_split
from selfalign.data.ownership import OwnedFeatures, captions_of_images, open_features
from selfalign.errors import UserError
from tests.conftest import write_scan_folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four images of 20 captions."""
    return write_scan_folder(tmp_path / "scan", {"train": 4})


def write(root: Path, kind: str, values: Sequence[object]) -> None:
    (root / f"train_{kind}.txt").write_text("".join(f"{value}\n" for value in values))


def captions(root: Path, count: int) -> None:
    write(root, "caps", [f"caption {number}" for number in range(count)])


def opened(root: Path) -> OwnedFeatures:
    files = find_split(root, "train")
    return open_features(files, len(files.captions.read_text().splitlines()))


def own_names(root: Path) -> None:
    write(root, "image_ids", "abcd")


def cut_repeats(root: Path) -> None:
    np.save(root / "train_ims.npy", np.load(root / "train_ims.npy").repeat(5, axis=0))


Case = tuple[Callable[[Path], None], int, Sequence[object] | None, list[int]]
FIVES = [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5
RIGHT: dict[str, Case] = {
    "five an image": (lambda root: None, 20, None, FIVES),
    "one an image": (lambda root: None, 4, None, [0, 1, 2, 3]),
    "one an image with ids that have gaps": (lambda root: None, 4, [9, 4, 7, 1], [0, 1, 2, 3]),
    "ids of images": (lambda root: None, 20, [9, 4, 7, 1], FIVES),
    "ids of captions that are no images": (lambda root: None, 20, range(20), FIVES),
    "one to three": (lambda root: None, 7, [70, 70, 5, 9, 9, 9, 30], [0, 0, 1, 2, 2, 2, 3]),
    "twenty of another kind": (
        lambda root: None,
        20,
        [8] * 2 + [3] * 8 + [5] + [6] * 9,
        [0, 0] + [1] * 8 + [2] + [3] * 9,
    ),
    "apart": (own_names, 5, "dabca", [3, 0, 1, 2, 0]),
    "an image without a caption": (own_names, 3, "dad", [3, 0, 3]),
    "rows that repeat their image": (cut_repeats, 20, None, FIVES),
    "rows that repeat their image, with ids": (cut_repeats, 20, [8] * 5 + [3] * 5 + [5] * 5 + [6] * 5, FIVES),
}


@pytest.mark.parametrize("name", RIGHT)
def test_every_caption_finds_its_image(name: str, root: Path) -> None:
    first = np.load(root / "train_ims.npy")
    change, count, ids, expected = RIGHT[name]
    captions(root, count)
    change(root)
    if ids is not None:
        write(root, "ids", ids)
    found = opened(root)
    assert found.image_of_caption.tolist() == expected
    assert found.features.images == 4
    np.testing.assert_array_equal(found.features.rows(np.arange(4)), first)


WRONG: dict[str, tuple[Callable[[Path], None], int, Sequence[object] | None, str]] = {
    "neither five nor one": (
        lambda root: None,
        9,
        None,
        "4 images need 20 captions .* train_ids.txt, one line a caption",
    ),
    "too many images": (lambda root: None, 6, [1, 1, 2, 3, 4, 5], "train_ids.txt: line 6 names image 5 of 5"),
    "too few images": (
        lambda root: None,
        5,
        [1, 1, 2, 3, 3],
        "captions of 3 images, the features have 4; .*image_ids.txt",
    ),
    "apart": (lambda root: None, 6, [1, 2, 1, 3, 4, 5], "line 3 has the id of line 1, '1', and others stand between"),
    "numbers of rows in another order": (lambda root: None, 5, [1, 1, 0, 2, 3], "not in their order"),
    "numbers of rows in another order, one caption each": (lambda root: None, 4, [2, 1, 3, 4], "not in their order"),
    "a caption without an image": (
        own_names,
        3,
        "axc",
        "train_ids.txt: line 2 is 'x', which no line of train_image_ids",
    ),
    "a caption without an id": (own_names, 3, "ab", "train_ids.txt: 2 lines, there are 3 captions"),
    "an id twice": (
        lambda root: write(root, "image_ids", "abcb"),
        3,
        "abc",
        "image_ids.txt: line 2 has an id that stands twice",
    ),
    "ids of other images": (
        lambda root: write(root, "image_ids", "abc"),
        3,
        "abc",
        "3 lines, the features have 4 images",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_says_no_image_is_one_line(name: str, root: Path) -> None:
    change, count, ids, message = WRONG[name]
    captions(root, count)
    change(root)
    if ids is not None:
        write(root, "ids", ids)
    with pytest.raises(UserError, match=message) as caught:
        opened(root)
    assert "\n" not in str(caught.value)


def test_captions_of_images_may_be_none() -> None:
    found = captions_of_images(np.array([2, 0, 2]), 4)
    assert [rows.tolist() for rows in found] == [[1], [], [0, 2], []]
