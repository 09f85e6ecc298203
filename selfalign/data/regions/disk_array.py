"""Arrays on disk, opened by header and read by rows."""

from __future__ import annotations

import os
from copy import copy
from io import FileIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy_format

from selfalign.errors import UserError
from selfalign.files.regular_files import open_regular

_LONGEST_HEADER = 10_000
"""Bytes; that of a plain array takes some hundred."""
FLOATS = ("float16", "float32", "float64")
INTEGERS = ("int32", "int64")


class DiskArray:
    """An array that stays on disk: opening reads its header only, :meth:`rows` reads the rows asked for.

    The header is checked against the size of the file before anything is read, and no object array is ever loaded.
    Rows are read, not memory-mapped: a file that is cut or lost while it is in use is then an error with a name and
    not the death of the process. Every read names its own place, so that processes that were forked from one, and
    with it share the open file and its position, never move each other's.

    Args:
        path: a ``.npy`` file.
        dimensions: number of axes that it must have, one of these.
        what: what it holds, for messages.
        kinds: types of numbers that it may hold.

    Raises:
        UserError: if the file is not such an array, or is truncated.
    """

    def __init__(
        self, path: Path, dimensions: int | tuple[int, ...], what: str, kinds: tuple[str, ...] = FLOATS
    ) -> None:
        self.path = path
        self.what = what
        self.shape, self.dtype, self._offset = _header(path, what, kinds)
        allowed = (dimensions,) if isinstance(dimensions, int) else dimensions
        if len(self.shape) not in allowed:
            raise UserError(f"{what} {path}: expected {' or '.join(map(str, allowed))} axes, got shape {self.shape}")
        if 0 in self.shape:
            raise UserError(f"{what} {path}: the array is empty, shape {self.shape}")
        expected = self._offset + int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize
        size = path.stat().st_size
        if size != expected:
            problem = "truncated" if size < expected else "too long"
            raise UserError(f"{what} {path}: {problem}: its header promises {expected} bytes, the file has {size}")
        self._row_bytes = (expected - self._offset) // self.shape[0]
        self._file: FileIO | None = None

    def __len__(self) -> int:
        return self.shape[0]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_file": None}

    def rows(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), ...) copies of ``rows`` in the file's own type, read in order of file offset.

        Raises:
            IndexError: if a row is not in the array.
            UserError: if the file cannot be read or has become shorter.
        """
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"{self.what} {self.path}: rows {rows.min()} to {rows.max()} of {len(self)}")
        values = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for place in np.argsort(rows, kind="stable").tolist():
            self._read(values[place], int(rows[place]))
        return values

    def flat(self) -> DiskArray:
        """The same array with its first two axes as one; a row of it is a region."""
        found = copy(self)
        found.shape = (self.shape[0] * self.shape[1], *self.shape[2:])
        found._row_bytes = self._row_bytes // self.shape[1]
        found._file = None
        return found

    def runs(self, starts: np.ndarray, counts: np.ndarray, width: int) -> np.ndarray:
        """(B, width, ...): ``counts`` (B,) rows from each of ``starts`` (B,) on, zeros after them.

        Raises what :meth:`rows` raises.
        """
        if len(starts) and (starts.min() < 0 or (starts + counts).max() > len(self)):
            raise IndexError(f"{self.what} {self.path}: rows to {(starts + counts).max()} of {len(self)}")
        values = np.zeros((len(starts), width, *self.shape[1:]), self.dtype)
        for place in np.argsort(starts, kind="stable").tolist():
            self._read(values[place, : counts[place]], int(starts[place]))
        return values

    def slice(self, start: int, stop: int) -> np.ndarray:
        """(stop − start, ...) consecutive rows of the array. Raises what :meth:`rows` raises."""
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"{self.what} {self.path}: rows {start} to {stop} of {len(self)}")
        values = np.empty((stop - start, *self.shape[1:]), self.dtype)
        self._read(values, start)
        return values

    def _read(self, values: np.ndarray, row: int) -> None:
        """Fill ``values`` from ``row`` on."""
        left = values.reshape(-1).view(np.uint8).data
        place = self._offset + row * self._row_bytes
        try:
            if self._file is None:
                self._file = FileIO(self.path)
            while left:
                read = os.preadv(self._file.fileno(), [left], place)
                if not read:
                    raise UserError(f"{self.what} {self.path}: row {row} is gone; the file was cut while in use")
                left, place = left[read:], place + read
        except OSError as error:
            raise UserError(f"{self.what} {self.path}: row {row} cannot be read ({error.strerror})") from error

    def ends(self, rows: np.ndarray, count: int) -> np.ndarray:
        """(len(rows), count) last values of ``rows``: a small read each, where whole rows would take minutes.

        Raises:
            UserError: if the file cannot be read or has become shorter.
        """
        size = count * self.dtype.itemsize
        row_bytes = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        with open_regular(self.path, self.what) as file:
            parts = []
            for row in rows.tolist():
                file.seek(self._offset + (row + 1) * row_bytes - size)
                parts.append(file.read(size))
        if any(len(part) < size for part in parts):
            raise UserError(f"{self.what} {self.path}: rows are gone; the file was cut while in use")
        return np.frombuffer(b"".join(parts), self.dtype).reshape(len(rows), count)


def _require_short_header(file: BinaryIO) -> None:
    """Refuse a header that claims its length: numpy takes as much memory before it looks at it."""
    place = file.tell()
    length = int.from_bytes(file.read(4), "little")
    file.seek(place)
    if length > _LONGEST_HEADER:
        raise ValueError(f"a header of {length:,} bytes")


def _header(path: Path, what: str, kinds: tuple[str, ...]) -> tuple[tuple[int, ...], np.dtype, int]:
    try:
        with open_regular(path, what) as file:
            version = npy_format.read_magic(file)
            if version == (1, 0):
                shape, fortran, dtype = npy_format.read_array_header_1_0(file)
            elif version == (2, 0):
                _require_short_header(file)
                shape, fortran, dtype = npy_format.read_array_header_2_0(file)
            else:
                raise ValueError(f"npy version {version}")
            offset = file.tell()
    except UserError:
        raise
    except Exception as error:  # numpy evaluates the header as Python text, which fails in a dozen ways
        reason = (str(error).strip() or type(error).__name__).split("\n")[0][:160]
        raise UserError(f"{what} {path}: not a readable .npy file ({reason})") from error
    if dtype.name not in kinds or fortran or not dtype.isnative:
        kind = "Fortran order" if fortran else f"type {dtype}"
        if dtype.hasobject:
            kind += "; images of different numbers of regions are padded, see docs/data.md"
        raise UserError(f"{what} {path}: expected {', '.join(kinds)} in C order, got {kind}")
    if any(side < 0 for side in shape):
        raise UserError(f"{what} {path}: the header's shape {shape} is impossible")
    return shape, dtype, offset
