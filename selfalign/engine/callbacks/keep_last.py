"""The state from which an interrupted run goes on as if it had never stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from selfalign.engine.callbacks.step_counter import StepCounter
from selfalign.engine.callbacks.terminal import tell
from selfalign.processes.exchange import current


class KeepLast(pl.Callback):
    """Saves everything, the random numbers of all processes included, where nothing of the step is left to do.

    Validation, the rows of the logs and the end of an epoch come after the hook in which Lightning can be continued in
    mid-epoch, so steps with any of them are not saved; the step before them is.

    Args:
        path: of the file.
        every: steps between two of them; the first step of an epoch and the last possible one before a validation are
            saved as well, so that a run that dies in validation has lost next to nothing.
        validate_every: steps between two validations.
        log_every: steps between two rows of the logs.

    Attributes:
        step: the optimiser steps that the file has behind it; ``None`` before the first one.
    """

    def __init__(self, path: Path, every: int, validate_every: int, log_every: int) -> None:
        if every < 1:
            raise ValueError(f"save_every: expected at least 1 step, got {every}")
        self.path, self.every = path, every
        self._loud = (validate_every, log_every)
        self.step: int | None = None
        self._random: dict[str, torch.Tensor] | None = None
        self._counter = StepCounter()
        self._stepped = False

    def can_save(self, trainer: pl.Trainer) -> bool:
        """Whether this step is one that :meth:`save` may follow; gradients that only add up are in no checkpoint."""
        last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        return self._stepped and self._is_quiet(trainer.global_step) and not last and not trainer.should_stop

    def save(self, trainer: pl.Trainer) -> None:
        """Save, unless this very step is saved already; every process has to call it."""
        if self.step == trainer.global_step:
            return
        for logger in trainer.loggers:
            logger.save()
        trainer.save_checkpoint(self.path)
        self.step = trainer.global_step

    def _is_quiet(self, step: int) -> bool:
        return all(step % interval for interval in self._loud)

    def _is_due(self, trainer: pl.Trainer, batch: int) -> bool:
        step, batches_a_step = trainer.global_step, trainer.accumulate_grad_batches
        if batch < batches_a_step or step - (self.step or 0) >= self.every:
            return True
        left = -(-(int(trainer.num_training_batches) - batch - 1) // batches_a_step)
        interval = self._loud[0]
        loud = min(step - step % interval + interval, step + left)
        return not any(self._is_quiet(later) for later in range(step + 1, loud))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._stepped = self._counter.has_stepped(trainer)
        if self.can_save(trainer) and self._is_due(trainer, batch_idx):
            self.save(trainer)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._counter.start(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.save(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["random"] = _random_states(pl_module.device)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._random = checkpoint["random"]
        self.step = checkpoint["global_step"]

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if self._random is None:
            return
        states, self._random = self._random, None
        processes = current()
        if len(states["cpu"]) != processes.size or ("cuda" in states) != (pl_module.device.type == "cuda"):
            tell(trainer, "other devices than before: dropout draws other numbers than an uninterrupted run would")
            return
        torch.set_rng_state(states["cpu"][processes.rank])
        if "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"][processes.rank], pl_module.device)


def _random_states(device: torch.device) -> dict[str, torch.Tensor]:
    """(processes, bytes) states of the generators that dropout draws from."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return {name: current().gather(state[None].to(device)).cpu() for name, state in states.items()}
