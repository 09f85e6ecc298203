"""Averaged weights: validated, and kept as the best, in place of the trained ones (METHOD section 9)."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn


class AveragedWeights(WeightAveraging):
    """Exponential moving average of the weights after every step (``callbacks=ema``), by Lightning.

    Averages are changed in place; Lightning's own class for them makes three copies of every weight on the way.

    Lightning takes the averages away before the callbacks that keep, draw and print what was validated; here they stay
    until :class:`TrainedWeightsAgain`, which has to be the last callback. This one has to be the first: the state that
    is saved after a step counts the step's average.

    Args:
        decay: of the average, each step; it begins with the weights after the first one.
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"decay: expected a number between 0 and 1, got {decay}")
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(decay))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Nothing yet."""

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Nothing yet."""


class TrainedWeightsAgain(pl.Callback):
    """Gives the model the trained weights back after a validation, and the averages after the training.

    Args:
        averages: the first callback.
    """

    def __init__(self, averages: AveragedWeights) -> None:
        self.averages = averages

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        WeightAveraging.on_validation_epoch_end(self.averages, trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        WeightAveraging.on_train_end(self.averages, trainer, pl_module)
