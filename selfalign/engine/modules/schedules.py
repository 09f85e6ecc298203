"""The learning rate over a training: its share of the first rate at each optimiser step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol


class Schedule(Protocol):
    """What a row of ``scheduler`` builds."""

    def __call__(self, step: int, epoch: int, total: int) -> float:
        """The share at a step, from 0; ``epoch`` steps make an epoch, ``total`` the training, warm-up not counted."""


@dataclass(frozen=True)
class StepDecay:
    """A step down every so many epochs, as published (METHOD section 7).

    Attributes:
        decay_every: epochs.
        decay_factor: 0.1 as published.

    Example:
        >>> [StepDecay(1)(step, epoch=2, total=6) for step in range(4)]
        [1.0, 1.0, 0.1, 0.1]
    """

    decay_every: int
    decay_factor: float = 0.1

    def __post_init__(self) -> None:
        if self.decay_every < 1:
            raise ValueError(f"decay_every: expected at least 1 epoch, got {self.decay_every}")

    def __call__(self, step: int, epoch: int, total: int) -> float:
        return float(self.decay_factor ** (step // epoch // self.decay_every))


@dataclass(frozen=True)
class Cosine:
    """Half a cosine over the whole training, whose length it needs.

    Attributes:
        final_rate: share of the rate at the end.

    Example:
        >>> [round(Cosine(0.0)(step, epoch=2, total=4), 2) for step in range(5)]
        [1.0, 0.85, 0.5, 0.15, 0.0]
    """

    final_rate: float = 0.01

    def __call__(self, step: int, epoch: int, total: int) -> float:
        done = min(1.0, step / max(1, total))
        return self.final_rate + (1 - self.final_rate) * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True)
class Constant:
    """One rate."""

    def __call__(self, step: int, epoch: int, total: int) -> float:
        return 1.0
