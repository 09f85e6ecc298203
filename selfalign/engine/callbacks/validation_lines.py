"""One line a validation."""

from __future__ import annotations

import pytorch_lightning as pl

from selfalign.engine.callbacks.terminal import tell
from selfalign.engine.callbacks.time_left import TimeLeft
from selfalign.metrics.recall import CrossModalRecall


class ValidationLines(pl.Callback):
    """Prints recalls of every validation, above the progress bar where there is one.

    They name the gallery: recall among 200 images is no recall among 1,000.
    """

    def __init__(self) -> None:
        self._left = TimeLeft()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._left.start(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        recalls = "  ".join(
            f"{side} " + " ".join(f"{figures[f'val/{side}_{depth}']:5.1f}" for depth in ("r1", "r5", "r10"))
            for side in ("i2t", "t2i")
        )
        aligned = figures.get("val/alignment_accuracy")
        left = self._left.words(trainer)
        tell(
            trainer,
            f"step {trainer.global_step:>6}  epoch {trainer.current_epoch + 1}  {_gallery(trainer, pl_module)}  "
            f"{recalls}  rsum {figures['val/rsum']:5.1f}"
            f"{'' if aligned is None else f'  alignment {aligned:4.1f} %'}{f'  {left}' if left else ''}",
        )


def _gallery(trainer: pl.Trainer, module: pl.LightningModule) -> str:
    """As ``dev, 200 images · 1,000 captions``, or ``a part of dev, ...`` under Lightning's limits."""
    names = getattr(getattr(trainer, "datamodule", None), "names", {})
    recall: CrossModalRecall = module.recall  # type: ignore[assignment]
    images, captions = recall.size
    part = "a part of " if recall.is_part else ""
    return f"{part}{names.get('val', 'validation')}, {images:,} images · {captions:,} captions:"
