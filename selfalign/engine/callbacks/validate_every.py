"""Validation every so many optimiser steps and at the end of each epoch (METHOD section 7)."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from selfalign.engine.callbacks.step_counter import StepCounter


class ValidateEvery(pl.Callback):
    """Lightning's own interval counts within an epoch and forgets the epoch's end; this one does both.

    Args:
        steps: optimiser steps between two validations, counted over the whole run.
    """

    def __init__(self, steps: int) -> None:
        if steps < 1:
            raise ValueError(f"validate_every: expected at least 1 step, got {steps}")
        self.steps = steps
        self._counter = StepCounter()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        # Lightning asks right after this hook; an infinite interval leaves only the epoch's end.
        due = self._counter.has_stepped(trainer) and trainer.global_step % self.steps == 0
        trainer.val_check_batch = 1 if due else float("inf")

    def on_train_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self._counter.start(trainer)
