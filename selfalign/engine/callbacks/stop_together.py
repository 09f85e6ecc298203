"""Ctrl-C, SIGTERM and SIGUSR1: all processes stop after the same step, with their state saved."""

from __future__ import annotations

import signal
from typing import Any

import pytorch_lightning as pl
import torch

from selfalign.engine.callbacks.keep_last import KeepLast
from selfalign.engine.callbacks.terminal import tell
from selfalign.processes.exchange import current

_GPU_INTERVAL = 10
_PATIENCE = 3


class StopTogether(pl.Callback):
    """Ends training once every process knows that one of them was asked to stop.

    A second Ctrl-C, and any of the signals in validation, end it at once; the last state is on disk by then.

    Args:
        last: saves the state at that moment.
    """

    def __init__(self, last: KeepLast) -> None:
        self.last = last
        self._asked = False
        self._since_asking = self._unsaved = 0
        self._handlers: dict[int, Any] = {}
        self._trainer: pl.Trainer | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._trainer = trainer
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            self._handlers[number] = signal.signal(number, self._ask)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        savable = self.last.can_save(trainer)
        if not self._all_know(pl_module.device, savable):
            return
        self._unsaved += 1
        if savable:
            self.last.save(trainer)
        patience = _PATIENCE * trainer.accumulate_grad_batches
        if savable or self._unsaved > patience:  # epochs of one step have none that can be saved
            raise KeyboardInterrupt

    def on_validation_batch_end(self, *_: Any) -> None:
        if self._asked:
            raise KeyboardInterrupt

    def on_train_end(self, *_: Any) -> None:
        """The last state is saved by now."""
        if self._asked:
            raise KeyboardInterrupt

    def _all_know(self, device: torch.device, savable: bool) -> bool:
        """Whether any process was asked; all processes get the same answer at the same step."""
        processes = current()
        if processes.size == 1:
            return self._asked
        self._since_asking += 1
        if self._unsaved == 0 and device.type != "cpu" and not (savable and self._since_asking >= _GPU_INTERVAL):
            return False  # asking waits for a GPU
        self._since_asking = 0
        return bool(processes.max(torch.tensor(int(self._asked), device=device)))

    def _ask(self, number: int, frame: object) -> None:
        if self._asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._asked = True
        if number == signal.SIGINT and self._trainer is not None:
            tell(self._trainer, "stopping after this step, with everything saved; Ctrl-C again stops at once")
