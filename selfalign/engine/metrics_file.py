"""metrics.csv of a run that goes on: the rows up to the checkpoint stay, later ones will be written again."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from pytorch_lightning.loggers import CSVLogger

from selfalign.errors import UserError
from selfalign.files.whole_files import write_whole

_FILE, _KEPT = "metrics.csv", "metrics.kept.csv"


def go_on(logger: CSVLogger, folder: Path, steps: int) -> None:
    """Give a new logger the rows of an earlier one; killed at any moment, none is lost.

    Args:
        logger: just made; Lightning's deletes the file of the earlier one.
        folder: of the run.
        steps: optimiser steps that the checkpoint has behind it.

    Raises:
        UserError: if the earlier file is damaged.
    """
    kept = folder / _KEPT
    if not kept.exists() and (folder / _FILE).exists():
        write_whole(kept, (folder / _FILE).read_bytes())
    rows = _rows(kept, steps) if kept.exists() else []
    writer = logger.experiment
    writer.metrics = rows
    writer.save()
    kept.unlink(missing_ok=True)


def _rows(path: Path, steps: int) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kept = []
    for number, row in enumerate(rows, start=2):
        try:
            if int(row["step"]) < steps:
                kept.append({name: value for name, value in row.items() if value not in ("", None)})
        except (KeyError, TypeError, ValueError) as error:
            if number == len(rows) + 1:
                continue  # a line that was being written; its step is not in the checkpoint
            raise UserError(f"{os.path.relpath(path)}: line {number} has no step; the file was changed") from error
    return kept
