"""Checkpoints on disk: never half a file, the one before kept, read without running what is in them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins import CheckpointIO

from selfalign.errors import UserError
from selfalign.files.torch_files import read_torch_file, require_checksums
from selfalign.files.whole_files import whole_file

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"


class CheckpointFiles(CheckpointIO):
    """Never half a file on the disk; the ``last.ckpt`` before becomes ``previous.ckpt``."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            UserError: if the disk does not take it; what was there before is untouched.
        """
        final = Path(path)
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(final, previous=final.with_name(PREVIOUS) if final.name == LAST else None) as place:
                torch.save(checkpoint, place)
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"checkpoint {path}: cannot be written ({_reason(error)}); those before it are intact, make room and "
                "go on with python train.py resume=RUN_FOLDER"
            ) from error

    def load_checkpoint(
        self, path: str | os.PathLike[str], map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """The content of a checkpoint, on the CPU.

        Raises:
            UserError: if it is missing or damaged.
        """
        return read_torch_file(Path(path), "checkpoint")

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Delete a checkpoint."""
        Path(path).unlink(missing_ok=True)


def newest_checkpoint(folder: Path, report: Callable[[str], None]) -> Path | None:
    """The last checkpoint of a run whose checksums are right.

    Args:
        folder: the ``checkpoints`` of a run.
        report: told of damaged ones.

    Returns:
        ``None`` if nothing was saved yet.

    Raises:
        UserError: if there are only damaged ones.
    """
    found = [path for path in (folder / LAST, folder / PREVIOUS) if path.exists()]
    for path in found:
        if (damage := _damage(path)) is None:
            return path
        report(f"checkpoint {os.path.relpath(path)}: damaged ({damage}); looking for the one before")
    if found:
        raise UserError(f"checkpoints {folder}: none of them can be read; start anew in another folder")
    return None


def _damage(path: Path) -> str | None:
    """What is wrong with a file of torch.save; ``None`` if every record has its checksum."""
    try:
        with path.open("rb") as file:
            require_checksums(file)
    except (OSError, ValueError) as error:
        return " ".join(str(error).split())[:160]
    return None


def _reason(error: Exception) -> str:
    cause = error if isinstance(error, OSError) else error.__context__
    return cause.strerror if isinstance(cause, OSError) and cause.strerror else " ".join(str(error).split())[:160]
