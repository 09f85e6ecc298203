"""Everything that a step which gave no number needs to be done again."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from selfalign.engine.callbacks.terminal import tell
from selfalign.engine.modules.finite_steps import log_interval
from selfalign.errors import NonFiniteError
from selfalign.processes.exchange import current
from selfalign.runs.reproduction import Reproduction, save_reproduction
from selfalign.structures import PairBatch

_SHOWN = 5


class Reproducer(pl.Callback):
    """Saves batch, weights and random numbers when training stops at a loss or gradient that is no number.

    Where that is found out some steps later, the batch is read again and the weights are those before it; running
    statistics of BatchNorm have seen the batches since.

    Args:
        folder: of the run; ``python -m selfalign.replay`` reads what is written there.
        provenance: of the module.
    """

    def __init__(self, folder: Path, provenance: dict[str, Any]) -> None:
        self.folder, self.provenance = folder, provenance
        self._batch: PairBatch | None = None
        self._begun: deque[tuple[int, int, Tensor, Tensor]] = deque(maxlen=1)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: PairBatch, batch_idx: int
    ) -> None:
        batches = log_interval(trainer) * trainer.accumulate_grad_batches
        if self._begun.maxlen != batches:
            self._begun = deque(maxlen=batches)
        self._batch = batch
        self._begun.append((trainer.global_step + 1, trainer.current_epoch, torch.get_rng_state(), batch.captions.ids))

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if not isinstance(exception, NonFiniteError) or self._batch is None:
            return
        processes = current()
        share = f".{processes.rank}" if processes.size > 1 else ""
        begun = next((begun for begun in reversed(self._begun) if begun[0] == exception.step), None)
        if begun is None:
            return
        step, epoch, random, ids = begun
        batch = self._batch
        if ids is not batch.captions.ids:  # found out steps later: the batch is read again
            batch = trainer.datamodule.split("train").pair_batch(ids.cpu().numpy())  # type: ignore[attr-defined]
        path = self.folder / f"reproducer{share}.pt"
        weights = pl_module.state_dict()
        save_reproduction(path, Reproduction(self.provenance, weights, batch, random, step - 1, epoch))
        images, captions = batch.images.ids.tolist(), batch.captions.ids.tolist()
        first = ", ".join(
            f"{image} (caption {caption})" for image, caption in list(zip(images, captions, strict=True))[:_SHOWN]
        )
        tell(
            trainer,
            f"the batch of image {first} ... is in {os.path.relpath(path)}; python -m selfalign.replay shows more",
        )
