"""Everything that a step which gave no number needs to be done again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from selfalign.engine.callbacks.terminal import tell
from selfalign.errors import NonFiniteError
from selfalign.processes.exchange import current
from selfalign.runs.reproduction import Reproduction, save_reproduction
from selfalign.structures import PairBatch

_SHOWN = 5


class Reproducer(pl.Callback):
    """Saves batch, weights and random numbers when training stops at a loss or gradient that is no number.

    Args:
        folder: of the run; ``python -m selfalign.replay`` reads what is written there.
        provenance: of the module.
    """

    def __init__(self, folder: Path, provenance: dict[str, Any]) -> None:
        self.folder, self.provenance = folder, provenance
        self._batch: PairBatch | None = None
        self._random = torch.get_rng_state()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: PairBatch, batch_idx: int
    ) -> None:
        self._batch, self._random = batch, torch.get_rng_state()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if not isinstance(exception, NonFiniteError) or self._batch is None:
            return
        processes = current()
        share = f".{processes.rank}" if processes.size > 1 else ""
        path = self.folder / f"reproducer{share}.pt"
        weights = pl_module.state_dict()
        save_reproduction(
            path,
            Reproduction(
                self.provenance, weights, self._batch, self._random, trainer.global_step, trainer.current_epoch
            ),
        )
        images, captions = self._batch.images.ids.tolist(), self._batch.captions.ids.tolist()
        first = ", ".join(
            f"{image} (caption {caption})" for image, caption in list(zip(images, captions, strict=True))[:_SHOWN]
        )
        tell(
            trainer,
            f"the batch of image {first} ... is in {os.path.relpath(path)}; python -m selfalign.replay shows more",
        )
