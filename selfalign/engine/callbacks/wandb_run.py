"""The run at Weights & Biases of a job: what it shows, and its end. No other file knows wandb."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from pytorch_lightning.loggers import Logger, WandbLogger

from selfalign.errors import UserError

Cell = str | int | Image.Image
_DATA_DIR = "WANDB_DATA_DIR"
_INTERRUPTED = 255  # what wandb's own exit hook says of Ctrl-C


@contextmanager
def ended_with_its_job(loggers: Sequence[Logger], run_dir: Path) -> Iterator[None]:
    """Finish W&B's run when the job ends, however it ends: the next job of this process would go on with it.

    Args:
        loggers: of the job.
        run_dir: its folder, which gets everything that W&B keeps on disk.

    Raises:
        UserError: what W&B refuses, as a wrong key, in one line.
    """
    if not any(isinstance(logger, WandbLogger) for logger in loggers):
        yield
        return
    import wandb

    code = 1
    try:
        with _staging_in(run_dir):
            yield
        code = 0
    except (KeyboardInterrupt, SystemExit):
        code = _INTERRUPTED
        raise
    except wandb.Error as error:
        raise UserError(f"logger=wandb: {error}; WANDB_MODE=offline logs into the run folder") from error
    finally:
        wandb.finish(exit_code=code)
        wandb.teardown()  # the next job's session is to see its own settings


@contextmanager
def _staging_in(run_dir: Path) -> Iterator[None]:
    """Let W&B keep the pictures of tables in the run folder: offline, they wait there to be sent."""
    if _DATA_DIR in os.environ:
        yield
        return
    os.environ[_DATA_DIR] = str(run_dir.absolute() / "wandb")
    try:
        yield
    finally:
        del os.environ[_DATA_DIR]


def log_examples(
    logger: WandbLogger,
    step: int,
    tables: Mapping[str, Sequence[Mapping[str, Cell]]],
    pictures: Mapping[str, Image.Image],
) -> None:
    """Log tables, whose rows all have the same columns, and pictures, by name, at ``step``."""
    import wandb

    def shown(cell: Cell) -> object:
        return wandb.Image(cell, file_type="jpg") if isinstance(cell, Image.Image) else cell

    media: dict[str, object] = {
        name: wandb.Table(columns=list(rows[0]), data=[[shown(cell) for cell in row.values()] for row in rows])
        for name, rows in tables.items()
        if rows
    }
    media |= {name: shown(picture) for name, picture in pictures.items()}
    logger.experiment.log({**media, "trainer/global_step": step})
