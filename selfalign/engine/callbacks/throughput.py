"""Series of every run: how fast it trains."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl

from selfalign.engine.callbacks.step_counter import StepCounter
from selfalign.structures import PairBatch


class Throughput(pl.Callback):
    """Logs ``train/pairs_per_second``: pairs of all processes a second of training since the last logging step.

    Waiting for data counts; validation, checkpoints and the start of an epoch do not.

    Args:
        every: optimiser steps between two logging steps.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._pairs = 0
        self._seconds = 0.0
        self._since: float | None = None
        self._counter = StepCounter()

    def on_train_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self._counter.start(trainer)

    def on_train_batch_start(self, *_: Any) -> None:
        if self._since is None:
            self._since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: PairBatch, batch_idx: int
    ) -> None:
        self._pairs += sum(batch.rows or (len(batch.images.ids),))
        if not self._counter.has_stepped(trainer) or trainer.global_step % self.every:
            return
        self._pause()
        self._since = time.perf_counter()
        pl_module.log("train/pairs_per_second", self._pairs / self._seconds)
        self._pairs, self._seconds = 0, 0.0

    def on_validation_start(self, *_: Any) -> None:
        self._pause()

    def on_train_epoch_end(self, *_: Any) -> None:
        self._pause()

    def _pause(self) -> None:
        if self._since is not None:
            self._seconds += time.perf_counter() - self._since
            self._since = None
