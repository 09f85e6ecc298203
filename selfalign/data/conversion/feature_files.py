"""Arrays of a split that are written image by image, in any order, and appear when all are there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy_format

from selfalign.errors import UserError

LARGEST_HALF = 65504.0
"""The largest float16."""


class ArrayFile:
    """A ``.npy`` file under construction, ``NAME.partial`` until :meth:`finish`.

    Rows are written, not memory-mapped, so that memory does not grow with the file.

    Args:
        path: where it will be.
        shape: of the array.
        dtype: of its values.

    Raises:
        UserError: if it cannot be made, for example because the disk is full.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: str) -> None:
        self.path, self.shape, self.dtype = path, shape, np.dtype(dtype)
        self.partial = path.with_name(f"{path.name}.partial")
        self._row_bytes = int(np.prod(shape[1:])) * self.dtype.itemsize
        self._file: BinaryIO
        try:
            fresh = not self.partial.exists()
            self._file = self.partial.open("w+b" if fresh else "r+b")
            self._offset = self._lay_out(shape[0])
        except OSError as error:
            raise UserError(f"{self.partial}: cannot be written ({error.strerror})") from error

    def _lay_out(self, rows: int) -> int:
        """Write the header of so many rows and make the file as long; where its values begin."""
        shape = (rows, *self.shape[1:])
        self._file.seek(0)
        npy_format.write_array_header_1_0(self._file, {"descr": self.dtype.str, "fortran_order": False, "shape": shape})
        start = self._file.tell()
        self._file.truncate(start + rows * self._row_bytes)
        return start

    def shorten(self, rows: int) -> None:
        """Keep the first ``rows`` only. The header has room for numbers of any length, so that no value moves."""
        if self._lay_out(rows) != self._offset:
            raise ValueError(
                f"{self.partial}: the header of {rows} rows has another length than that of {self.shape[0]}"
            )
        self.shape = (rows, *self.shape[1:])

    def write(self, row: int, values: np.ndarray) -> None:
        """Put ``values`` in place of ``row``."""
        self._file.seek(self._offset + row * self._row_bytes)
        self._file.write(np.ascontiguousarray(values, self.dtype).tobytes())

    def read(self, row: int) -> np.ndarray:
        """What stands in ``row``."""
        self._file.seek(self._offset + row * self._row_bytes)
        return np.frombuffer(self._file.read(self._row_bytes), self.dtype).reshape(self.shape[1:])

    def flush(self) -> None:
        """Make sure that what was written is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def finish(self) -> None:
        """Give the file its name."""
        self.flush()
        self._file.close()
        self.partial.replace(self.path)

    def close(self) -> None:
        """Leave the file unfinished."""
        self._file.close()


def as_dtype(values: np.ndarray, dtype: str, where: str) -> np.ndarray:
    """``values`` in the type of a file.

    Raises:
        UserError: if float16 cannot hold them.
    """
    if dtype == "float16" and (largest := float(np.abs(values).max(initial=0.0))) > LARGEST_HALF:
        raise UserError(f"{where}: a value of {largest:g} does not fit into float16 (up to 65504); use --dtype float32")
    return values.astype(dtype)
