"""The folder of a run belongs to one run, and to one process group at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from selfalign.errors import UserError
from selfalign.files.locks import lock
from selfalign.files.plain_values import read_yaml
from selfalign.files.whole_files import write_whole
from selfalign.runs.results import RESULTS

CONFIG = "config.yaml"
BEST = "best.ckpt"
_LOCK = ".lock"


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


def require_writable(folder: Path) -> None:
    """Refuse a folder that nothing can be written to, before anything is tried; it need not be there yet.

    Raises:
        UserError: naming the folder.
    """
    try:
        there = next(place for place in (folder, *folder.parents) if place.exists())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"run folder {str(folder)[:160]!r}: cannot be made ({reason})") from error
    if not there.is_dir():
        raise UserError(f"run folder {folder}: {there} is a file; name another folder as hydra.run.dir")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"run folder {folder}: {there} is read-only; name another folder as hydra.run.dir")


def begin(folder: Path, record: Mapping[str, str]) -> None:
    """Write down what a training run is, at the moment from which nothing is known that could keep it from running.

    Results that the folder has of fewer epochs get another name: they must not pass for those of the run that goes on.

    Args:
        folder: of the run.
        record: text of each file, by its path in the folder.
    """
    results = folder / RESULTS
    if results.exists():
        epochs = read_yaml(folder / CONFIG, "settings")["training"]["epochs"]
        results.replace(folder / f"results_of_{epochs}_epochs.json")
    write_record(folder, record)


def write_record(folder: Path, record: Mapping[str, str]) -> None:
    """Write the text of each file, by its path in the folder; nobody ever sees half of one."""
    for name, text in record.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_whole(folder / name, text)


def checkpoint_file(path: Path) -> Path:
    """The checkpoint that a path names: a file, or the best one of a run's folder or of its ``checkpoints``.

    Raises:
        UserError: if there is none.
    """
    path = path.expanduser()
    try:
        if not path.exists():
            raise UserError(f"checkpoint {path}: no such file")
        if not path.is_dir():
            return path
        found = next((file for file in (path / "checkpoints" / BEST, path / BEST) if file.is_file()), None)
    except (OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"checkpoint {str(path)[:160]!r}: no name of a file ({reason})") from error
    if found is None:
        raise UserError(f"checkpoint {path}: a folder without checkpoints/{BEST}; name a run's folder, or a file")
    return found


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep every other run out of ``folder``, on this machine and on those that share its file system's locks.

    A folder in which nothing was begun is removed again.

    Raises:
        UserError: if another run is in it, or it is read-only.
    """
    with lock(_lock_of(folder)) as state:
        if state == "taken":
            raise UserError(f"{os.path.relpath(folder)}: another process is running in this folder")
        try:
            yield  # on a file system without locks, the check for a fresh folder is what is left
        finally:
            if os.listdir(folder) == [_LOCK]:
                (folder / _LOCK).unlink()
                folder.rmdir()


def _lock_of(folder: Path) -> Path:
    path = folder / _LOCK
    try:
        path.touch()
    except OSError as error:
        raise UserError(f"{os.path.relpath(folder)}: cannot be written to ({error.strerror})") from error
    return path
