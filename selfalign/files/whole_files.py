"""Own files appear whole: nobody sees half of one, not even after a full disk, a kill or a power failure."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path, *, shared: bool = False, previous: Path | None = None) -> Iterator[Path]:
    """A place beside ``path`` to write to; it gets the name ``path`` if the block ends well, and goes if it does not.

    Args:
        path: of the file.
        shared: other processes may write the same file at this moment, as in a cache; whoever is last wins.
        previous: new name of the file that is at ``path`` now; without it, that file is replaced.

    Raises:
        OSError: if the disk does not take it; what was at ``path`` is untouched.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with whole_file(Path(folder, "list.txt")) as place:
        ...         _ = place.write_text("all of it")
        ...     [file.name for file in Path(folder).iterdir()]
        ['list.txt']
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial" if shared else f".{path.name}.partial")
    try:
        yield partial
        _flush(partial)
        if previous is not None and path.exists():
            path.replace(previous)
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    with contextlib.suppress(OSError):  # some file systems cannot flush a folder
        _flush(path.parent)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a small file, text as UTF-8 with its own line ends.

    Raises:
        OSError: if the disk does not take it.
    """
    with whole_file(path) as place:
        place.write_bytes(content.encode(errors="backslashreplace") if isinstance(content, str) else content)


def _flush(path: Path) -> None:
    """Put a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
