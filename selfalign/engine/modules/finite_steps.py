"""Whether every step's loss and gradient are numbers, without waiting for the device at every step."""

from __future__ import annotations

import math

import pytorch_lightning as pl
import torch
from torch import Tensor

from selfalign.errors import NonFiniteError


def log_interval(trainer: pl.Trainer) -> int:
    """Optimiser steps between two rows of figures."""
    return max(1, int(trainer.log_every_n_steps))  # type: ignore[attr-defined]  # Lightning sets it later


class FiniteSteps:
    """Notes loss and gradient norm of each optimiser step on the device; reads them together, some steps later.

    From the first step whose loss or norm is no number on, :attr:`broken` is 1. A fused optimiser that has it as
    ``found_inf`` leaves its steps out then, on the device and without asking: no weight moves until somebody reads.
    """

    def __init__(self) -> None:
        self.broken: Tensor | None = None
        self._noted: list[tuple[int, Tensor]] = []

    def note(self, step: int, loss: Tensor, norm: Tensor) -> None:
        """Add an optimiser step, from 1, before it is taken."""
        figures = torch.stack([loss.float(), norm.float()])
        bad = (~torch.isfinite(figures)).any().float()
        self.broken = bad if self.broken is None else torch.maximum(self.broken, bad)
        self._noted.append((step, figures))

    def require(self) -> None:
        """Read what was noted since the last time; the only wait.

        Raises:
            NonFiniteError: naming the first step that gave no number; the weights are those before it.
        """
        noted, self._noted = self._noted, []
        if not noted:
            return
        for (step, _), (loss, norm) in zip(noted, torch.stack([one for _, one in noted]).tolist(), strict=True):
            if not math.isfinite(loss + norm):
                raise NonFiniteError(
                    f"step {step}: loss {loss:.4g}, gradient norm {norm:.4g}; stopped before the weights took it; a "
                    "lower training.learning_rate or strategy.precision=32-true may help",
                    step,
                )
