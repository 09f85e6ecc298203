"""One line a validation."""

from __future__ import annotations

import pytorch_lightning as pl

from selfalign.engine.callbacks.terminal import tell


class ValidationLines(pl.Callback):
    """Prints recalls of every validation, above the progress bar where there is one."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        line = (
            f"step {trainer.global_step:>6}  epoch {trainer.current_epoch + 1}  "
            + "  ".join(
                f"{side} " + " ".join(f"{figures[f'val/{side}_{depth}']:5.1f}" for depth in ("r1", "r5", "r10"))
                for side in ("i2t", "t2i")
            )
            + f"  rsum {figures['val/rsum']:5.1f}"
        )
        tell(trainer, line)
