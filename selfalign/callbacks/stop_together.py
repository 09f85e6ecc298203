"""SIGTERM and SIGUSR1: all processes stop after the same step, with their state saved."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from selfalign.distributed import current

_GPU_INTERVAL = 10


class StopTogether(pl.Callback):
    """Ends training as Ctrl-C would, once every process knows that one of them was asked to stop.

    Args:
        path: checkpoint for the state at that moment.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._asked = False
        self._handlers: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for number in (signal.SIGTERM, signal.SIGUSR1):
            self._handlers[number] = signal.signal(number, self._ask)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        processes = current()
        if processes.size == 1:
            stop = self._asked
        elif pl_module.device.type == "cpu" or trainer.global_step % _GPU_INTERVAL == 0:  # asking waits for a GPU
            stop = bool(processes.max(torch.tensor(int(self._asked), device=pl_module.device)))
        else:
            return
        if stop:
            trainer.save_checkpoint(self.path)
            raise KeyboardInterrupt

    def _ask(self, number: int, frame: object) -> None:
        self._asked = True
