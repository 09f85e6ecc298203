"""Says early that training has collapsed, and what helps."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch import nn

from selfalign.engine.callbacks.step_counter import StepCounter
from selfalign.engine.callbacks.terminal import tell
from selfalign.structures import PairBatch

_CHECKS = 20
"""In a row, one each time that figures are logged; a run may pass through such a state in its first steps."""
_NEAR = 0.02
_NO_SPREAD = 1e-3
_ONE_PROTOTYPE = 0.05


class CollapseWarnings(pl.Callback):
    """Watches for three ends of learning; each is told once.

    - The ranking loss stays within 2 % of what it is when all similarities are equal, if it says what that is (its
      method ``plateau``).
    - All similarities are the same to 1e-3 (standard deviation).
    - All words choose the same prototype: their entropy over prototypes is below 5 % of its largest value.

    Args:
        ranking: the loss of that name, if it is used.
        log_every: steps between two rows of the logs.
        advice: what helps a ranking loss that stays there.
    """

    def __init__(
        self,
        ranking: nn.Module | None,
        log_every: int,
        advice: str = "loss.ranking.warm_up_epochs=1 or a lower training.learning_rate helps",
    ) -> None:
        self.ranking, self.log_every, self.advice = ranking, log_every, advice
        self._seen: dict[str, int] = {}
        self._counter = StepCounter()

    def on_train_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self._counter.start(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: PairBatch, batch_idx: int
    ) -> None:
        if not self._counter.has_stepped(trainer) or trainer.global_step % self.log_every:
            return
        figures = trainer.callback_metrics
        plateau = _plateau(self.ranking, batch, trainer.current_epoch)
        if plateau is not None and "train/ranking" in figures:
            self._count(
                trainer,
                abs(float(figures["train/ranking"]) / plateau - 1) < _NEAR,
                f"the ranking loss stays where all similarities are equal ({plateau:.4g}); {self.advice}",
            )
        if "train/similarity_deviation" in figures:
            self._count(
                trainer,
                float(figures["train/similarity_deviation"]) < _NO_SPREAD,
                f"all images and captions are encoded alike; {self.advice}",
            )
        if "train/prototype_entropy" in figures:
            self._count(
                trainer,
                float(figures["train/prototype_entropy"]) < _ONE_PROTOTYPE,
                "all words choose one prototype; a smaller loss.concept.weight or more "
                "loss.concept.freeze_epochs helps",
            )

    def _count(self, trainer: pl.Trainer, bad: bool, warning: str) -> None:
        self._seen[warning] = self._seen.get(warning, 0) + 1 if bad else 0
        if self._seen[warning] == _CHECKS:
            tell(trainer, f"warning: step {trainer.global_step}: {warning}")
            self._seen[warning] = -(10**9)  # told


def _plateau(loss: nn.Module | None, batch: PairBatch, epoch: int) -> float | None:
    """The ranking loss of equal similarities; ``None`` without a loss that tells."""
    known = getattr(loss, "plateau", None)
    return None if known is None else known(sum(batch.rows) if batch.rows else len(batch.images.ids), epoch)
