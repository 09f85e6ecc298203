"""The weights with the best validation figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl


class KeepBest(pl.Callback):
    """Saves the weights, without the optimiser's state, whenever validation was better than ever before.

    Lightning's own callback forgets its score when the folder of a run has moved.

    Args:
        path: of the file.
        figure: the larger the better.

    Attributes:
        score: the best so far; ``None`` before the first validation.
    """

    def __init__(self, path: Path, figure: str = "val/selection") -> None:
        self.path, self.figure = path, figure
        self.score: float | None = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        score = float(trainer.callback_metrics[self.figure])
        if self.score is None or score > self.score:
            self.score = score
            trainer.save_checkpoint(self.path, weights_only=True)

    def state_dict(self) -> dict[str, Any]:
        return {"score": self.score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.score = state_dict["score"]
