"""Optimiser steps, which are fewer than batches under ``trainer.accumulate_grad_batches``."""

from __future__ import annotations

import pytorch_lightning as pl


class StepCounter:
    """Tells batches that ended in an optimiser step from those whose gradient was only added up.

    Ask once a batch, in ``on_train_batch_end``.
    """

    def __init__(self) -> None:
        self._steps = 0

    def start(self, trainer: pl.Trainer) -> None:
        """Go on after the steps of a checkpoint."""
        self._steps = trainer.global_step

    def has_stepped(self, trainer: pl.Trainer) -> bool:
        """Whether the optimiser has stepped since this was asked last."""
        before, self._steps = self._steps, trainer.global_step
        return self._steps > before
