"""The TSV files of bottom-up attention: one image a line, boxes and features in base64."""

from __future__ import annotations

import base64
import binascii
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from selfalign.errors import UserError
from selfalign.files.regular_files import open_regular

_FIELDS = ("image_id", "image_w", "image_h", "num_boxes", "boxes", "features")
_LONGEST_LINE = 16 * 2**20
"""Bytes; 100 regions of 2,048 take 1.1 million."""
_LARGEST_SIDE = 100_000
_LONGEST_ID = 256


@dataclass(frozen=True)
class TsvRow:
    """A line, its arrays still in base64.

    Attributes:
        where: file and line, for messages.
        image: id of the image.
        end: byte after the line; of the unpacked text where the file is packed.
        fields: the values after the id.
    """

    where: str
    image: str
    end: int
    fields: tuple[bytes, ...]

    def decode(self, regions: int, width: int) -> TsvImage:
        """The arrays.

        Args:
            regions: R that the image must have.
            width: F.

        Raises:
            UserError: if numbers or arrays are not those of such an image.
        """
        size = np.array([self._number(_FIELDS[1], self.fields[0]), self._number(_FIELDS[2], self.fields[1])])
        found = self._number(_FIELDS[3], self.fields[2])
        if found != regions:
            raise UserError(
                f"{self}: {found} boxes, expected {regions}; extract with a fixed number, or pass --regions"
            )
        boxes = self._array(_FIELDS[4], self.fields[3], (regions, 4))
        features = self._array(_FIELDS[5], self.fields[4], (regions, width))
        return TsvImage(features, boxes, size.astype(np.float32))

    def __str__(self) -> str:
        return f"{self.where} (image {self.image})"

    def _number(self, name: str, text: bytes) -> int:
        digits = text.strip()
        if not (digits.isdigit() and len(digits) <= 7 and 0 < int(digits) <= _LARGEST_SIDE):
            raise UserError(f"{self}: {name} is {ascii(text[:20])[1:]}, expected a whole number above 0")
        return int(digits)

    def _array(self, name: str, text: bytes, shape: tuple[int, int]) -> np.ndarray:
        if text.startswith((b"b'", b'b"')):
            raise UserError(f"{self}: {name} is the text of a bytes object; write the TSV again, decoded")
        try:
            content = base64.b64decode(text.strip(), validate=True)
        except binascii.Error as error:
            raise UserError(f"{self}: {name} is not base64 ({error})") from error
        expected = 4 * shape[0] * shape[1]
        if len(content) != expected:
            raise UserError(
                f"{self}: {name} has {len(content):,} bytes, {shape[0]} × {shape[1]} float32 take {expected:,}"
            )
        values = np.frombuffer(content, "<f4").reshape(shape)
        if not np.isfinite(values).all():
            raise UserError(f"{self}: {name} holds values that are not finite; extract this image again")
        return values


@dataclass(frozen=True, eq=False)
class TsvImage:
    """features (R, F), boxes (R, 4) x1 y1 x2 y2 in pixels, size (2,) width and height; float32."""

    features: np.ndarray
    boxes: np.ndarray
    size: np.ndarray


def tsv_rows(path: Path, start: int = 0) -> Iterator[TsvRow]:
    """The lines of a file, one in memory at a time.

    Args:
        path: ``.tsv``, or ``.tsv.gz``.
        start: byte at which to begin, the ``end`` of an earlier row.

    Raises:
        UserError: if the file cannot be read, or a line has not the six fields.
    """
    with open_regular(path, "TSV") as plain:
        file = gzip.GzipFile(fileobj=plain) if path.suffix == ".gz" else plain
        try:
            file.seek(start)
            yield from _rows(path, file, start)
        except (EOFError, zlib.error, OSError) as error:
            raise UserError(f"TSV {path}: damaged or cut near byte {file.tell():,} ({error})") from error


def _rows(path: Path, file: BinaryIO | gzip.GzipFile, start: int) -> Iterator[TsvRow]:
    end, number = start, 0
    after = f" after byte {start:,}" if start else ""
    while line := file.readline(_LONGEST_LINE):
        number += 1
        where = f"TSV {path}: line {number}{after}"
        if len(line) == _LONGEST_LINE:
            raise UserError(f"{where} has more than {_LONGEST_LINE:,} bytes; expected one image a line")
        end += len(line)
        fields = line.rstrip(b"\r\n").removeprefix(b"\xef\xbb\xbf").split(b"\t", len(_FIELDS))
        if number == 1 and start == 0 and fields[0] == _FIELDS[0].encode():
            continue  # a line of names
        if len(fields) != len(_FIELDS):
            raise UserError(f"{where} has {len(fields)} fields, expected {len(_FIELDS)}: {' '.join(_FIELDS)}")
        image = fields[0].strip()
        if not image or len(image) > _LONGEST_ID or not image.isascii() or not image.decode("ascii").isprintable():
            raise UserError(f"{where}: image_id is {ascii(image[:20])[1:]}, expected a number or name")
        yield TsvRow(where, image.decode("ascii"), end, tuple(fields[1:]))
