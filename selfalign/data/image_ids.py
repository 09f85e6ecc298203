"""``{split}_ids.txt`` and other files of ids or names, one a line."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from selfalign.errors import UserError
from selfalign.files.regular_files import read_regular

CAPTIONS_PER_IMAGE = 5
"""Of the published data sets, and where nothing else says whose captions are whose."""
_LARGEST_FILE = 64 * 2**20
_LONGEST = 256


def read_ids(path: Path) -> list[str]:
    """The lines of a file of ids.

    Raises:
        UserError: if the file is unreadable, empty, or has a line that is no id.
    """
    try:
        text = read_regular(path, "ids", _LARGEST_FILE).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"ids {path}: not UTF-8 at byte {error.start}") from error
    ids = [line.strip() for line in text.removesuffix("\n").split("\n")]
    if ids == [""]:
        raise UserError(f"ids {path}: the file is empty")
    wrong = next((row for row, identity in enumerate(ids, 1) if not identity or len(identity) > _LONGEST), None)
    if wrong is not None:
        raise UserError(f"ids {path}: line {wrong} is empty or no id; expected one id a line")
    return ids


def read_image_ids(path: Path) -> list[str]:
    """The id of every image, in order; a file with one line a caption may repeat each id five times.

    Raises:
        UserError: if the file is unreadable, empty, or has a line that is no id.
    """
    ids = read_ids(path)
    firsts = ids[::CAPTIONS_PER_IMAGE]
    repeated = len(ids) % CAPTIONS_PER_IMAGE == 0 and all(
        ids[place::CAPTIONS_PER_IMAGE] == firsts for place in range(CAPTIONS_PER_IMAGE)
    )
    return firsts if repeated else ids


def are_row_numbers(ids: list[str]) -> bool:
    """Whether ids only count the rows of their own file, so that those of two files say nothing of each other."""
    return any(ids == [str(start + row) for row in range(len(ids))] for start in (0, 1))


def stays_inside(name: str) -> bool:
    """Whether a file's name leads to a place within the folder that it is relative to."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return (
        bool(parts)
        and not name.startswith(("/", "\\", "~"))
        and ".." not in parts
        and "\0" not in name
        and ":" not in parts[0]
    )
