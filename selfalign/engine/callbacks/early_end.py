"""The end of a training that no longer gets better."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping

from selfalign.engine.callbacks.terminal import tell


class EarlyEnd(EarlyStopping):
    """Lightning's EarlyStopping on the figure that chooses the best checkpoint (``callbacks=early_stopping``).

    A run that was interrupted after its early end does not go on.

    Args:
        patience: validations in a row that are no better than the best before.
        min_delta: by how much one has to be better.
    """

    def __init__(self, patience: int, min_delta: float = 0.0) -> None:
        if patience < 1:
            raise ValueError(f"patience: expected at least 1 validation, got {patience}")
        super().__init__("val/selection", min_delta=min_delta, patience=patience, mode="max", verbose=False)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        before = trainer.should_stop
        super().on_validation_end(trainer, pl_module)
        if trainer.should_stop and not before:
            tell(
                trainer,
                f"no better in {self.wait_count} validations: training ends early, at step {trainer.global_step}",
            )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Nothing: validation ends each epoch."""
