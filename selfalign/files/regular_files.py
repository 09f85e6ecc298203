"""Files of the user, opened only where they are files (a pipe would block for ever)."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from selfalign.errors import UserError

_POINTER = b"version https://git-lfs.github.com/spec/"
_LARGEST_POINTER = 1024


def open_regular(path: Path, what: str, largest: int | None = None) -> BinaryIO:
    """``path`` opened for reading bytes.

    Args:
        path: the file, or a link to one.
        what: what it is, for messages.
        largest: bytes that such a file may have; ``None`` without a limit.

    Raises:
        UserError: if it cannot be opened, is no regular file, is larger, or only stands for a file that git-lfs keeps.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a device or pipe"
            raise UserError(f"{what} {path}: {kind}, not a file")
        if largest is not None and found.st_size > largest:
            raise UserError(f"{what} {path}: {found.st_size:,} bytes; no such file is larger than {largest:,}")
        file = path.open("rb")
        if found.st_size <= _LARGEST_POINTER and file.peek(len(_POINTER)).startswith(_POINTER):
            file.close()
            raise UserError(f"{what} {path}: a git-lfs pointer, not the file itself; run git lfs pull in its folder")
        return file
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

    Example:
        >>> read_regular(Path("no_such_file"), "vocabulary", 100)
        Traceback (most recent call last):
        selfalign.errors.UserError: vocabulary no_such_file: cannot be read (No such file or directory)
    """
    with open_regular(path, what, largest) as file:
        return file.read(min(largest, os.fstat(file.fileno()).st_size))  # a larger number is memory taken at once
