"""How long the whole training still takes, by what it has taken."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytorch_lightning as pl


class TimeLeft:
    """Measures from its first question on: what came before, as building the model, happens once.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start: tuple[float, int] | None = None

    def start(self, trainer: pl.Trainer) -> None:
        """Begin to measure; a run that goes on begins where it goes on."""
        self._start = (self._clock(), trainer.global_step)

    def words(self, trainer: pl.Trainer) -> str:
        """As ``12 min left``; empty where nothing can be said."""
        total = trainer.estimated_stepping_batches
        module = getattr(trainer, "lightning_module", None)
        limit = getattr(getattr(module, "optimisation", None), "max_steps", None)
        total = total if limit is None else min(total, limit)
        if self._start is None or total == float("inf"):
            return ""
        begun, first = self._start
        done = trainer.global_step - first
        if done < 1:
            return ""
        return f"{duration((self._clock() - begun) / done * max(0, total - trainer.global_step))} left"


def duration(seconds: float) -> str:
    """In two units at most.

    Example:
        >>> [duration(value) for value in (0.4, 59, 61, 3700, 200_000)]
        ['0 s', '59 s', '1 min', '1 h 01 min', '2 d 7 h']
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60:02} min" if not days else f"{days} d {hours % 24} h"
