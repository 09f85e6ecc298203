"""One owner at a time of a file or folder, on this machine and on those that share its file system's locks.

The ``filelock`` package is not used: it takes a file system without locks for a lock that somebody holds.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

State = Literal["ours", "taken", "impossible"]


@contextmanager
def lock(path: Path) -> Iterator[State]:
    """Try to lock a file, without waiting, as long as the block lasts; a killed process holds nothing.

    Args:
        path: the file; made if it is not there, and left as it is.

    Yields:
        ``ours``; ``taken``, if another process has it; ``impossible``, if its file system has no locks.

    Raises:
        OSError: if the file cannot be made.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, lock(Path(folder, ".lock")) as state:
        ...     state
        'ours'
    """
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield "taken"
        except OSError:
            yield "impossible"
        else:
            yield "ours"
