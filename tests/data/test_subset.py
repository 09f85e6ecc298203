"""A part of a split is exactly what its file names, or an error in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from selfalign.data.layout import find_split
from selfalign.data.subset import as_ranges, from_ranges, read_subset
from selfalign.errors import UserError

OWNERS = np.arange(40) // 5


@pytest.fixture
def split(scan_folder: Path) -> Path:
    """Eight images with ids, names and numbers of captions."""
    ids = [str(100 + image) for image in range(8)]
    (scan_folder / "test_ids.txt").write_text("\n".join(one for one in ids for _ in range(5)) + "\n")
    (scan_folder / "test_images.txt").write_text("\n".join(f"photos/{one}.jpg" for one in ids) + "\n")
    (scan_folder / "test_capids.txt").write_text("\n".join(str(9000 - line) for line in range(40)) + "\n")
    return scan_folder


def read(split: Path, of: str, *lines: str) -> list[int]:
    path = split / "subset.txt"
    path.write_text("\n".join(lines) + "\n")
    return read_subset(path, of, find_split(split, "test"), OWNERS, 8).tolist()


def test_images_bring_their_captions_and_captions_come_alone(split: Path) -> None:
    of_two = [5, 6, 7, 8, 9, 35, 36, 37, 38, 39]
    assert read(split, "ids", "107", "101") == of_two
    assert read(split, "names", "photos/107.jpg", "101.jpg") == of_two
    assert read(split, "images", "7", "1") == of_two
    assert read(split, "caption_ids", "9000", "8961") == [0, 39]
    assert read(split, "captions", "39", "0") == [0, 39]


@pytest.mark.parametrize(
    ("of", "lines", "message"),
    [
        ("ids", ["101", "999"], "line 2 is '999', which split test has not"),
        ("ids", ["101", "101"], "line 2 names '101' for the second time"),
        ("names", ["photos/101.jpg", "101.jpg"], "for the second time"),
        ("captions", ["40"], "line 1 is '40'"),
        ("captions", ["-1"], "line 1 is '-1'"),
        ("images", ["1", "", "2"], "line 2 is ''"),
        ("images", [""], "the file is empty"),
    ],
)
def test_what_the_split_has_not_is_one_line(split: Path, of: str, lines: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(split, of, *lines)


def test_ids_that_nothing_tells_are_refused(split: Path) -> None:
    (split / "test_capids.txt").unlink()
    with pytest.raises(UserError, match=r"test_capids\.txt is missing"):
        read(split, "caption_ids", "1")
    (split / "test_capids.txt").write_text("1\n2\n")
    with pytest.raises(UserError, match="2 lines, the split 40 captions"):
        read(split, "caption_ids", "1")
    (split / "test_capids.txt").write_text("1\n" * 40)
    with pytest.raises(UserError, match="has '1' twice"):
        read(split, "caption_ids", "1")


def test_rows_as_text_come_back() -> None:
    rows = np.array([0, 1, 2, 5, 9, 10])
    assert from_ranges(as_ranges(rows), 11).tolist() == rows.tolist()
    for wrong in ("", "3-1", "0-11", "5,5", "5,2", "-1", "0-9,0-9", "1;2", "0-999999999"):
        with pytest.raises(ValueError, match="expected"):
            from_ranges(wrong, 11)
