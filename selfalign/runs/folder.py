"""The folder of a run belongs to one run, and to one process group at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selfalign.errors import UserError
from selfalign.files.locks import lock

CONFIG = "config.yaml"


def require_fresh(folder: Path) -> None:
    """Refuse a folder that holds a run.

    Raises:
        UserError: saying how to go on with it.
    """
    if (folder / CONFIG).exists():
        place = os.path.relpath(folder)
        raise UserError(
            f"{place}: holds a run already; python train.py resume={place} goes on with it, "
            "or name another folder as hydra.run.dir"
        )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep every other run out of ``folder``, on this machine and on those that share its file system's locks.

    Raises:
        UserError: if another run is in it.
    """
    with lock(folder / ".lock") as state:
        if state == "taken":
            raise UserError(f"{os.path.relpath(folder)}: another process is running in this folder")
        yield  # on a file system without locks, the check for a fresh folder is what is left
