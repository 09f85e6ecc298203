"""Arrays on disk, opened by header and read by rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

from selfalign.errors import UserError
from selfalign.regular_files import open_regular

_FLOATS = ("float16", "float32", "float64")


class DiskArray:
    """A memory-mapped float array: opening reads its header only, :meth:`rows` reads the rows asked for.

    The header is checked against the size of the file before anything is mapped, and no object array is ever
    loaded. A copy in another process opens the file anew.

    Args:
        path: a ``.npy`` file.
        dimensions: number of axes that it must have.
        what: what it holds, for messages.

    Raises:
        UserError: if the file is not such an array, or is truncated.
    """

    def __init__(self, path: Path, dimensions: int, what: str) -> None:
        self.path = path
        self.what = what
        self.shape, self.dtype, self._offset = _header(path, what)
        if len(self.shape) != dimensions:
            raise UserError(f"{what} {path}: expected {dimensions} axes, got shape {self.shape}")
        if 0 in self.shape:
            raise UserError(f"{what} {path}: the array is empty, shape {self.shape}")
        expected = self._offset + int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize
        size = path.stat().st_size
        if size != expected:
            problem = "truncated" if size < expected else "too long"
            raise UserError(f"{what} {path}: {problem}: its header promises {expected} bytes, the file has {size}")
        self._map: np.memmap | None = None

    def __len__(self) -> int:
        return self.shape[0]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_map": None}

    def rows(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), ...) copies of ``rows`` in the file's own type, read in order of file offset."""
        if self._map is None:
            self._map = np.memmap(self.path, self.dtype, mode="r", offset=self._offset, shape=self.shape)
        distinct, places = np.unique(rows, return_inverse=True)
        values = np.asarray(self._map[distinct])
        return values if len(distinct) == len(rows) and np.array_equal(distinct, rows) else values[places]

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


def _header(path: Path, what: str) -> tuple[tuple[int, ...], np.dtype, int]:
    try:
        with open_regular(path, what) as file:
            version = npy_format.read_magic(file)
            if version == (1, 0):
                shape, fortran, dtype = npy_format.read_array_header_1_0(file)
            elif version == (2, 0):
                shape, fortran, dtype = npy_format.read_array_header_2_0(file)
            else:
                raise ValueError(f"npy version {version}")
            offset = file.tell()
    except UserError:
        raise
    except Exception as error:  # numpy evaluates the header as Python text, which fails in a dozen ways
        reason = (str(error).strip() or type(error).__name__).split("\n")[0][:160]
        raise UserError(f"{what} {path}: not a readable .npy file ({reason})") from error
    if dtype.name not in _FLOATS or fortran or not dtype.isnative:
        kind = "Fortran order" if fortran else f"type {dtype}"
        raise UserError(f"{what} {path}: expected {', '.join(_FLOATS)} in C order, got {kind}")
    if any(side < 0 for side in shape):
        raise UserError(f"{what} {path}: the header's shape {shape} is impossible")
    return shape, dtype, offset
