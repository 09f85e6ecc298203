"""Says once a run what holds training up: the data or the computation."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl

from selfalign.engine.callbacks.terminal import tell

_STEPS = 100
"""Measured; the epoch's end comes first where it has fewer."""
_FEWEST = 10
_MUCH = 0.1


class DataWait(pl.Callback):
    """Share of the training time that passes between the end of a step and the arrival of the next batch.

    The first step, which starts the loader, and validation do not count.
    """

    def __init__(self) -> None:
        self._started = 0.0
        self._ended: float | None = None
        self._waited = self._worked = 0.0
        self._steps = 0
        self._done = False

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self._started = time.perf_counter()
        if self._ended is not None:
            self._waited += self._started - self._ended

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        now = time.perf_counter()
        if self._ended is not None:
            self._worked += now - self._started
            self._steps += 1
        self._ended = now
        if self._steps == _STEPS:
            self._tell(trainer)

    def on_validation_start(self, *_: Any) -> None:
        self._ended = None

    def on_train_epoch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._ended = None
        if self._steps >= _FEWEST:
            self._tell(trainer)

    def _tell(self, trainer: pl.Trainer) -> None:
        if self._done:
            return
        self._done = True
        total = self._waited + self._worked
        share = self._waited / total
        step = total / self._steps * trainer.accumulate_grad_batches
        advice = "the data; more data.workers, float16 features or data.resident=true help"
        tell(
            trainer,
            f"{1000 * step:,.0f} ms a step, {share:.0%} of it waiting for data: the bottleneck is "
            f"{advice if share > _MUCH else 'the computation'}",
        )
