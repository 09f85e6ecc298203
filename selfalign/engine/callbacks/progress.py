"""The progress bar: epochs counted from 1, the time left of the whole training, and one bar for a whole test."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar
from rich.progress import ProgressColumn, Task
from rich.text import Text

from selfalign.engine.callbacks.time_left import TimeLeft
from selfalign.engine.modules.finite_steps import log_interval


class WholeRunColumn(ProgressColumn):
    """What is left of all epochs; Lightning's own columns know the epoch only."""

    def __init__(self, trainer: pl.Trainer, left: TimeLeft) -> None:
        super().__init__()
        self._trainer, self._left = trainer, left

    def render(self, task: Task) -> Text:
        """The words, while the run trains."""
        return Text(self._left.words(self._trainer) if self._trainer.training else "")


class Progress(RichProgressBar):
    """Lightning's bar as the lines beside it count."""

    def __init__(self) -> None:
        super().__init__()
        self._left = TimeLeft()
        self._tested = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._left.start(trainer)
        super().on_train_start(trainer, pl_module)

    def configure_columns(self, trainer: pl.Trainer) -> list[Any]:
        return [*super().configure_columns(trainer), WholeRunColumn(trainer, self._left)]

    def _update_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read figures of training when they are logged only: a GPU's host waits for them."""
        last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        if not trainer.training or last or trainer.global_step % log_interval(trainer) == 0:
            super()._update_metrics(trainer, pl_module)

    def _get_train_description(self, current_epoch: int) -> str:
        return f"epoch {current_epoch + 1} of {self.trainer.max_epochs}"

    def on_test_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Begin one bar for images, captions and pairs together."""
        if self.is_disabled or self.test_progress_bar_id is not None:
            return
        self._tested = 0
        self.test_progress_bar_id = self._add_task(sum(map(int, trainer.num_test_batches)), self.test_description)

    def on_test_batch_end(self, *_: Any) -> None:
        self._tested += 1
        self._update(self.test_progress_bar_id, self._tested)
