"""The end of a training by its optimiser steps."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl


class StopAfter(pl.Callback):
    """Ends training after so many optimiser steps, with a validation (``trainer.max_steps``).

    Lightning's own flag ends it without one, and resumes in mid-epoch otherwise than runs without it.

    Args:
        steps: counted over the whole run.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Do nothing where a run goes on that has ended already."""
        self.on_train_batch_end(trainer)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step >= self.steps:
            trainer.should_stop = True
