"""Captions with their images' names, out of every form in which data sets hand them out."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfalign.data.text.captions import caption_lines
from selfalign.errors import UserError, shown
from selfalign.files.json_stream import json_elements
from selfalign.files.regular_files import open_regular

_TOKEN = re.compile(r"(?P<image>\S.*?)#(?P<number>\d+)\s+(?P<caption>.*)")
_IMAGE = ("image_name", "image", "filename", "file_name", "file", "img", "image_id", "imgid", "id", "cocoid")
_CAPTION = ("caption", "captions", "comment", "raw", "sentence", "sentences", "text", "description")
_LISTS = ("", "images", "annotations", "data")
_PICTURE = re.compile(r"\S+\.(?:jpe?g|png|gif|bmp|webp|tiff?)", re.I)
_SEEN = 200
"""Lines that decide of which form a file is."""
_NUMBERED = re.compile(r"\W?\d+\s*[.):,;|#-]?\s+(?P<caption>.*)")
_NUMBER_AND_CAPTION = re.compile(r"\s*(?P<number>\d+)\s+(?P<caption>\S.*)")
_FRAME = re.compile(r"(?:<[a-z]+>|\[[A-Z]+\])\s*(?P<caption>.*?)\s*(?:</?[a-z]+>|\[[A-Z]+\])")


@dataclass(frozen=True)
class CaptionRecord:
    """A caption.

    Attributes:
        image: name or number of its image; ``None`` where the form tells none and order does.
        caption: its text.
        part: of the data set that its image belongs to, as ``train``; ``None`` where the form tells none.
    """

    image: str | None
    caption: str
    part: str | None = None


def caption_records(path: Path) -> Iterator[CaptionRecord]:
    """The captions of a file, in its order, one in memory at a time.

    Reads Karpathy's and COCO's JSON, lists and lines of JSON records, Flickr's ``NAME.jpg#0<TAB>caption``, tables with
    commas, bars, semicolons or tabs and with or without a line of names, numbered lines, lists of captions, captions in
    quotation marks or between marks, and plain captions.

    Raises:
        UserError: if the file cannot be read or has another form.
    """
    with open_regular(path, "captions") as file:
        start = file.read(2**16).decode("utf-8-sig", "replace").lstrip()
    if start[:1] in ("{", "["):
        first = start.splitlines()[0].strip()
        one_a_line = first.endswith(("}", "]")) and len(start.splitlines()) > 1 and len(first) > 2
        yield from _of_lines_of_json(path) if one_a_line else _of_json(path)
    else:
        yield from _of_lines(path)


def _of_json(path: Path) -> Iterator[CaptionRecord]:
    names: dict[str, str] = {}
    waiting: list[tuple[str, str]] = []
    for name, value in json_elements(path, "captions"):
        if isinstance(value, str):  # a list of captions, or lists under their images' names
            yield CaptionRecord(name or None, value)
        elif isinstance(value, list) and _are_texts(value):
            yield from (CaptionRecord(name or None, text) for text in value)
        elif not isinstance(value, dict) or name not in _LISTS:
            continue
        elif name == "annotations" and "caption" in value:
            image, caption = _text(path, value.get("image_id")), _text(path, value["caption"])
            if names:
                yield CaptionRecord(names.get(image, image), caption)
            else:
                waiting.append((image, caption))
        elif name == "images" and "file_name" in value and "sentences" not in value:
            names[_text(path, value.get("id"))] = _text(path, value["file_name"])
        else:
            yield from _of_record(path, value)
    yield from (CaptionRecord(names.get(image, image), caption) for image, caption in waiting)


def _of_lines_of_json(path: Path) -> Iterator[CaptionRecord]:
    for number, line in enumerate(caption_lines(path), start=1):
        try:
            value = (ast.literal_eval if line.startswith("[") else json.loads)(line.rstrip(","))
        except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
            raise UserError(f"captions {path}: line {number} is no record ({str(error)[:80]})") from error
        if isinstance(value, list) and _are_texts(value):
            yield from (CaptionRecord(None, text) for text in value)
        elif isinstance(value, dict):
            yield from _of_record(path, value)
        else:
            raise UserError(f"captions {path}: line {number} holds no captions: {shown(value)}")


def _are_texts(value: list[Any]) -> bool:
    return bool(value) and all(isinstance(text, str) for text in value)


def _of_record(path: Path, record: dict[str, Any]) -> Iterator[CaptionRecord]:
    """Of a record of an image with its captions, or of a caption with its image."""
    key = next((name for name in ("sentences", *_CAPTION) if name in record), None)
    if key is None:
        raise UserError(f"captions {path}: a record without captions: {shown(record)}")
    image = next((record[name] for name in _IMAGE if name in record), None)
    part = record.get("split")
    texts = record[key] if isinstance(record[key], list) else [record[key]]
    for text in texts:
        words = text.get("raw", text.get("caption")) if isinstance(text, dict) else text
        yield CaptionRecord(
            None if image is None else _text(path, image), _text(path, words), None if part is None else str(part)[:80]
        )


def _text(path: Path, value: Any) -> str:
    if isinstance(value, str):
        return value
    if type(value) is int and abs(value) < 10**18:
        return str(value)
    raise UserError(f"captions {path}: expected text, got {shown(value)}")


def _of_lines(path: Path) -> Iterator[CaptionRecord]:
    lines = caption_lines(path)
    head: list[str] = []
    for line in lines:
        head.append(line)
        if len(head) == _SEEN:
            break
    take = _line_reader(path, head)
    for number, line in enumerate(_chained(head, lines), start=1):
        if line and (record := take(number, line)) is not None:
            yield record


def _chained(head: list[str], rest: Iterator[str]) -> Iterator[str]:
    yield from head
    yield from rest


def _line_reader(path: Path, head: list[str]) -> Any:
    """The reader of one line, chosen by the first lines."""
    filled = [line for line in head if line]
    if all(_TOKEN.fullmatch(line) for line in filled):
        return lambda number, line: _of_token(path, number, line)
    names = re.split(r"\s*[,|;\t]\s*", filled[0].lower()) if filled else []
    for separator in ("\t", "|", ",", ";"):
        titled = len(names) > 1 and bool(set(names) & set(_IMAGE)) and bool(set(names) & set(_CAPTION))
        if all(separator in line for line in filled) and (
            titled or separator in "\t|" or _begins_with_pictures(filled)
        ):
            return _Table(path, separator, names if titled else None)
    for pattern in (_FRAME, _NUMBERED):
        if all(pattern.fullmatch(line) for line in filled):
            return lambda number, line: _of_pattern(path, pattern, number, line)
    return lambda number, line: CaptionRecord(None, _unquoted(line))


def _begins_with_pictures(lines: list[str]) -> bool:
    return all(re.match(r"\"?[^\s,;]+\.(?:jpe?g|png|gif|bmp|webp|tiff?)\"?\s*[,;]", line, re.I) for line in lines)


def _of_token(path: Path, number: int, line: str) -> CaptionRecord:
    match = _TOKEN.fullmatch(line)
    if match is None:
        raise UserError(f"captions {path}: line {number} is not NAME#NUMBER and a caption as the first ones")
    return CaptionRecord(match["image"], match["caption"])


def _of_pattern(path: Path, pattern: re.Pattern[str], number: int, line: str) -> CaptionRecord:
    match = pattern.fullmatch(line)
    if match is None:
        raise UserError(f"captions {path}: line {number} has not the form of the first ones")
    return CaptionRecord(None, match["caption"])


def _unquoted(line: str) -> str:
    for mark in "\"'":
        inner = line.rstrip(",;")
        if len(inner) > 2 and inner[0] == inner[-1] == mark:
            return inner[1:-1].replace(mark * 2, mark)
    return line


class _Table:
    """Lines of fields: an image, perhaps the caption's number, and the caption, or what a line of names says."""

    def __init__(self, path: Path, separator: str, names: list[str] | None) -> None:
        self._path, self._separator, self._names = path, separator, names

    def __call__(self, number: int, line: str) -> CaptionRecord | None:
        if self._names is None:
            image, caption = self._untitled(number, line)
        elif number == 1:
            return None
        else:
            image, caption = self._titled(self._names, number, line)
        return CaptionRecord(image.partition("#")[0].strip(), caption.strip())

    def _titled(self, names: list[str], number: int, line: str) -> tuple[str, str]:
        fields = self._fields(line)
        image, caption = (next(names.index(name) for name in known if name in names) for known in (_IMAGE, _CAPTION))
        if len(fields) > len(names) and caption == len(names) - 1:  # a caption with the separator in it, unquoted
            fields = [*fields[:caption], self._separator.join(fields[caption:])]
        glued = _NUMBER_AND_CAPTION.fullmatch(fields[-1])
        if len(fields) == len(names) - 1 and caption == len(names) - 1 and glued is not None:
            fields = [
                *fields[:-1],
                glued["number"],
                glued["caption"],
            ]  # a bar is missing: one line of Flickr30K's table
        if len(fields) != len(names):
            raise UserError(f"captions {self._path}: line {number} has {len(fields)} fields, expected {len(names)}")
        return fields[image], fields[caption]

    def _untitled(self, number: int, line: str) -> tuple[str, str]:
        image, _, rest = line.partition(self._separator)
        image = image.strip().strip('"')
        if not _PICTURE.match(image) and not image.isdecimal():
            raise UserError(f"captions {self._path}: line {number} begins with no image's name: {shown(image)}")
        second, separator, after = rest.partition(self._separator)
        if separator and second.strip().isdecimal():
            rest = after
        if self._separator in rest and self._separator in "\t|":
            raise UserError(
                f"captions {self._path}: line {number} has too many fields; expected an image and a caption"
            )
        return image, _unquoted(rest.strip())

    def _fields(self, line: str) -> list[str]:
        if self._separator in ",;":
            return next(csv.reader(io.StringIO(line), delimiter=self._separator))
        return line.split(self._separator)
