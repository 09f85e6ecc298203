"""The TSV files of bottom-up attention: one image a line, boxes and features in base64."""

from __future__ import annotations

import base64
import binascii
import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from selfalign.data.conversion.region_formats import ImageRegions, RegionRecord, image_regions
from selfalign.errors import UserError
from selfalign.files.regular_files import open_regular

_WANTED = ("image_id", "image_w", "image_h", "num_boxes", "boxes", "features")
_COLUMNS = {
    6: _WANTED,
    10: (
        "image_id",
        "image_h",
        "image_w",
        "objects_id",
        "objects_conf",
        "attrs_id",
        "attrs_conf",
        "num_boxes",
        "boxes",
        "features",
    ),
}
"""By number: those of bottom-up attention, and LXMERT's, whose height stands before the width."""
_TITLES = {"img_id": "image_id", "img_h": "image_h", "img_w": "image_w"}
_LONGEST_LINE = 16 * 2**20
"""Bytes; 100 regions of 2,048 take 1.1 million."""
_LARGEST_NUMBER = 100_000
_LONGEST_ID = 256


def tsv_records(path: Path, start: int = 0, order: Sequence[str] | None = None) -> Iterator[RegionRecord]:
    """The lines of a file, one in memory at a time.

    Args:
        path: ``.tsv``, or ``.tsv.gz``.
        start: byte at which to begin, the ``end`` of an earlier record; of the unpacked text where the file is packed.
        order: not needed; every line names its image.

    Raises:
        UserError: if the file cannot be read, or a line has not the columns of one of the two forms.
    """
    with open_regular(path, "TSV") as plain:
        file = gzip.GzipFile(fileobj=plain) if path.suffix == ".gz" else plain
        try:
            columns, begin = _titles(path, file)
            file.seek(max(start, begin))
            yield from _records(path, file, max(start, begin), columns)
        except (EOFError, zlib.error, OSError) as error:
            raise UserError(f"TSV {path}: damaged or cut near byte {file.tell():,} ({error})") from error


def _titles(path: Path, file: BinaryIO | gzip.GzipFile) -> tuple[tuple[str, ...] | None, int]:
    """The names of the columns, where the first line tells them, and where the images begin."""
    line = file.readline(_LONGEST_LINE)
    fields = _fields(line)
    if _TITLES.get(name := fields[0].decode("ascii", "replace"), name) != "image_id":
        return None, 0
    names = tuple(_TITLES.get(name, name) for name in (field.decode("ascii", "replace") for field in fields))
    if set(_WANTED) - set(names) or len(set(names)) < len(names):
        raise UserError(f"TSV {path}: its columns are {' '.join(names)}, expected {' '.join(_WANTED)} among them")
    return names, len(line)


def _fields(line: bytes) -> list[bytes]:
    return line.rstrip(b"\r\n").removeprefix(b"\xef\xbb\xbf").split(b"\t")


def _records(
    path: Path, file: BinaryIO | gzip.GzipFile, start: int, titles: tuple[str, ...] | None
) -> Iterator[RegionRecord]:
    end, number = start, 0
    after = f" after byte {start:,}" if start else ""
    while line := file.readline(_LONGEST_LINE):
        number += 1
        where = f"TSV {path}: line {number}{after}"
        if len(line) == _LONGEST_LINE:
            raise UserError(f"{where} has more than {_LONGEST_LINE:,} bytes; expected one image a line")
        end += len(line)
        fields = _fields(line)
        columns = _COLUMNS.get(len(fields), ()) if titles is None else titles
        if len(fields) != len(columns):
            forms = f"{len(_WANTED)} ({' '.join(_WANTED)}) or LXMERT's 10" if titles is None else str(len(titles))
            raise UserError(f"{where} has {len(fields)} fields, expected {forms}")
        values = dict(zip(columns, fields, strict=True))
        name = values["image_id"].strip()
        if not name or len(name) > _LONGEST_ID or not name.isascii() or not name.decode("ascii").isprintable():
            raise UserError(f"{where}: image_id is {ascii(name[:20])[1:]}, expected a number or name")
        image = name.decode("ascii")
        where = f"{where} (image {image})"
        yield RegionRecord(where, image, end, _Row(where, values).decode)


@dataclass(frozen=True)
class _Row:
    """A line, its arrays still in base64."""

    where: str
    values: dict[str, bytes]

    def decode(self) -> ImageRegions:
        size = [self._number("image_w"), self._number("image_h")]
        regions = self._number("num_boxes")
        boxes = self._array("boxes", regions)
        if boxes.shape[1] != 4:
            raise UserError(
                f"{self.where}: boxes has {boxes.nbytes:,} bytes, {regions} × 4 float32 take {16 * regions:,}"
            )
        return image_regions(self.where, self._array("features", regions), boxes, size)

    def _number(self, name: str) -> int:
        digits = self.values[name].strip()
        if not (digits.isdigit() and len(digits) <= 7 and 0 < int(digits) <= _LARGEST_NUMBER):
            raise UserError(f"{self.where}: {name} is {ascii(digits[:20])[1:]}, expected a whole number above 0")
        return int(digits)

    def _array(self, name: str, regions: int) -> np.ndarray:
        text = self.values[name]
        if text.startswith((b"b'", b'b"')):
            raise UserError(f"{self.where}: {name} is the text of a bytes object; write the TSV again, decoded")
        try:
            content = base64.b64decode(text.strip(), validate=True)
        except binascii.Error as error:
            raise UserError(f"{self.where}: {name} is not base64 ({error})") from error
        if not content or len(content) % (4 * regions):
            raise UserError(f"{self.where}: {name} has {len(content):,} bytes, no float32 of {regions} boxes")
        return np.frombuffer(content, "<f4").reshape(regions, -1)
