"""Files of the user, opened only where they are files (a pipe would block for ever)."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import BinaryIO

from selfalign.errors import UserError


def open_regular(path: Path, what: str, largest: int | None = None) -> BinaryIO:
    """``path`` opened for reading bytes.

    Args:
        path: the file, or a link to one.
        what: what it is, for messages.
        largest: bytes that such a file may have; ``None`` without a limit.

    Raises:
        UserError: if it cannot be opened, is no regular file, or is larger.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a device or pipe"
            raise UserError(f"{what} {path}: {kind}, not a file")
        if largest is not None and found.st_size > largest:
            raise UserError(f"{what} {path}: {found.st_size:,} bytes; no such file is larger than {largest:,}")
        return path.open("rb")
    except OSError as error:
        raise UserError(f"{what} {path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{what} {str(path)!r}: no name of a file ({error})") from error


def read_regular(path: Path, what: str, largest: int) -> bytes:
    """The bytes of a small file.

    Raises:
        UserError: as :func:`open_regular`.
    """
    with open_regular(path, what, largest) as file:
        return file.read(largest)
