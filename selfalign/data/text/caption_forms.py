"""The forms in which captions are handed out, told from one caption a line: their names and numbers are no words."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

_ENOUGH = 0.5
"""Share of lines: a caption may hold a file's name or begin with a number, half of them do not."""
_FEWEST = 5
_SAMPLE = 1_000
_START = 400
"""Characters of a line that are looked at."""
_PICTURE = r"[^\s|,;#]+\.(?:jpe?g|png|gif|bmp|webp|tiff?)"
_FIELDS = re.compile(r"(?:image|img|photo|file)[\w ]*[,|;\t].*(?:caption|comment|sentence|description|text)", re.I)
_JSON = re.compile(r"[\[{]\s*[\[{]?\s*\"[^\"]{1,40}\"\s*:")
_NUMBER = re.compile(r"\W?(\d+)\s*[.):,;|\t#-]?\s")


def distributed_form(lines: Sequence[str]) -> str | None:
    """What a file is that is not one caption a line; ``None`` where that is what it is.

    Args:
        lines: of the file, or its first ones.
    """
    first = next((line[:_START] for line in lines if line), "")
    if _JSON.match(first) or first in ("{", "[", "[{", "[["):
        return "JSON"
    if _FIELDS.fullmatch(first):
        return f"a table with the columns {first[:60]!r}"
    sample = [line[:_START] for line in lines[:: max(1, len(lines) // _SAMPLE)]]
    if len(sample) < _FEWEST:
        return None
    for what, found in _BY_LINE.items():
        if sum(map(found, sample)) > _ENOUGH * len(sample):
            return what
    return "lines that begin with their numbers" if _counts(lines[:_SAMPLE]) else None


def conversion_advice(path: Path, what: str) -> str:
    """The words of a refusal that names the command which converts the file."""
    return (
        f"captions {path}: {what}, not one caption a line; convert it: selfalign convert captions "
        f"{path.name} --root DIR --split SPLIT"
    )


def _search(pattern: str, flags: int = re.I) -> Callable[[str], bool]:
    search = re.compile(pattern, flags).search
    return lambda line: search(line) is not None


_BY_LINE: dict[str, Callable[[str], bool]] = {
    "lines of an image's name, #, the caption's number and the caption": _search(rf"^{_PICTURE}#\d+\s"),
    "a table of image names and captions": _search(rf"^\"?{_PICTURE}\"?\s*[,|;\t]"),
    "lines that begin with the name of an image": _search(rf"^\S*{_PICTURE}\b"),
    "records of JSON, one a line": _search(r"^\{\s*\"[^\"]{1,40}\"\s*:"),
    "lists, one a line": _search(r"^\[\s*[\"']"),
    "lines of several fields with tabs between them": lambda line: "\t" in line,
    "lines of several fields with | between them": lambda line: "|" in line,
    "captions in quotation marks": _search(r"^(?:\"(?:[^\"]|\"\")*\"|'[^']*')[,;]?$"),
    "captions between marks such as <start> or [CLS]": _search(
        r"^(?:<[a-z]+>|\[[A-Z]+\]).*(?:</?[a-z]+>|\[[A-Z]+\])$", 0
    ),
}


def _counts(lines: Sequence[str]) -> bool:
    """Whether the numbers at the lines' beginnings count them, their images, or the captions of each image."""
    found = [match for line in lines if (match := _NUMBER.match(line[:_START])) is not None]
    if len(found) < len(lines):
        return False
    numbers = [int(match[1][:9]) for match in found]
    steps = [after - before for before, after in pairwise(numbers)]
    counted = [numbers[0] + place % _FEWEST for place in range(len(numbers))]
    return numbers == counted or (all(step in (0, 1) for step in steps) and any(steps))
