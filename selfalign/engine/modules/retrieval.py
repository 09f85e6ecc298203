"""The LightningModule of every model: encode → losses → log in training, encode → recall in evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from selfalign.backbones.base import TwoTower
from selfalign.errors import NonFiniteError
from selfalign.metrics.alignment import AlignmentAccuracy
from selfalign.metrics.recall import CrossModalRecall
from selfalign.processes.exchange import Shares, current
from selfalign.structures import (
    AlignmentBatch,
    CaptionBatch,
    CaptionEncoding,
    ImageBatch,
    ImageEncoding,
    PairBatch,
)

_SELECTION = ("i2t_r1", "i2t_r5", "t2i_r1", "t2i_r5")
"""The best checkpoint is the one with the largest sum of these (METHOD section 7)."""


@dataclass(frozen=True)
class Optimisation:
    """Adam without weight decay and a step schedule (METHOD section 7).

    Attributes:
        learning_rate: start.
        decay_every: epochs after which the rate is multiplied by ``decay_factor``, again and again.
        decay_factor: 0.1 as published.
        prototype_freeze_epochs: epochs in which the prototypes get no gradient (dropped after clipping).
        cosine: in place of steps, down to a hundredth of the start at the end of training, along a cosine.
        warm_up: optimiser steps of a linear rise from zero, with ``cosine``.
        word_table_rate: times the learning rate for the table of word vectors.
    """

    learning_rate: float
    decay_every: int
    decay_factor: float = 0.1
    prototype_freeze_epochs: int = 0
    cosine: bool = False
    warm_up: int = 0
    word_table_rate: float = 1.0

    def __post_init__(self) -> None:
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate: expected a positive number, got {self.learning_rate}")
        if self.decay_every < 1:
            raise ValueError(f"decay_every: expected at least 1 epoch, got {self.decay_every}")


_LAST_SHARE = 0.01


def cosine_shares(total: int, warm_up: int) -> Callable[[int], float]:
    """Step → share of the learning rate: up over ``warm_up`` steps, then along a cosine to a hundredth at ``total``."""

    def share(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        passed = min(1.0, (step - warm_up) / max(1, total - warm_up))
        return _LAST_SHARE + (1 - _LAST_SHARE) * 0.5 * (1 + math.cos(math.pi * passed))

    return share


class RetrievalModule(pl.LightningModule):
    """A two-tower network with its losses; subclasses add what only their network has.

    Args:
        backbone: the two towers.
        losses: modules by name: ``ranking``, ``concept``, ``context`` and those of the subclass. What is not there
            is not computed and has no parameters.
        weights: weight of each of ``losses`` in the total.
        optimisation: optimiser and schedule.
        provenance: plain values that rebuild this module; stored in its checkpoints under ``"selfalign"``.
    """

    def __init__(
        self,
        backbone: TwoTower,
        losses: Mapping[str, nn.Module],
        weights: Mapping[str, float],
        optimisation: Optimisation,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if set(losses) != set(weights):
            raise ValueError(f"weights: expected one for each of {sorted(losses)}, got {sorted(weights)}")
        self.backbone = backbone
        self.losses = nn.ModuleDict(losses)
        self.weights = dict(weights)
        self.optimisation = optimisation
        self.provenance = provenance or {}
        self._loss = torch.zeros(())
        self.recall = CrossModalRecall()
        self.alignment = AlignmentAccuracy()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["selfalign"] = self.provenance

    # Training

    def on_fit_start(self) -> None:
        """Set training modes, which Lightning leaves as it finds them, and give every process its own dropout.

        transformers returns pretrained models in evaluation mode. What the processes share was drawn before.
        """
        self.train()
        torch.manual_seed(torch.initial_seed() + current().rank)

    def loss_terms(
        self, batch: PairBatch, images: ImageEncoding, captions: CaptionEncoding, shares: Shares
    ) -> dict[str, Tensor]:
        """Every loss of the model before its weight, by name: what this process contributes, see :class:`Shares`."""
        terms = {}
        if "ranking" in self.losses:
            similarity = self.backbone.similarity(
                images.embedding.map(shares.gather), captions.embedding.map(shares.gather)
            )  # (B, B) of all processes' pairs
            self._log_similarities(similarity.detach())
            ids = shares.gather(batch.images.ids)
            terms["ranking"] = self.losses["ranking"](similarity, ids, self.current_epoch)
        if "concept" in self.losses:
            concept = self.losses["concept"](images.concepts, captions.concepts, captions.mask, shares.processes)
            terms["concept"] = shares.of_mean(concept)
        if "words" in self.losses:
            if captions.concepts is None:
                raise ValueError("words: expected a backbone with words at the concept level")
            terms["words"] = self.losses["words"](
                images.concepts, captions.concepts, captions.mask, batch.images.ids, shares
            )
        if "context" in self.losses:
            if images.context is None or captions.context is None:
                raise ValueError("context: expected a backbone with context heads")
            terms["context"] = self.losses["context"](
                images.context.map(shares.gather), captions.context.map(shares.gather)
            )
        return terms

    def training_step(self, batch: PairBatch, batch_index: int) -> Tensor:
        shares = Shares(current(), batch.rows or (len(batch.images.ids),))
        images = self.backbone.encode_images(batch.images)
        captions = self.backbone.encode_captions(batch.captions)
        terms = self.loss_terms(batch, images, captions, shares)
        total = torch.stack([self.weights[name] * value for name, value in terms.items()]).sum()
        values = shares.processes.mean(torch.stack([total, *terms.values()]).detach())
        self._loss = values[0]
        self.log("train/loss", values[0], prog_bar=True, batch_size=shares.total)
        self.log_dict(
            {f"train/{name}": value for name, value in zip(terms, values[1:], strict=True)}, batch_size=shares.total
        )
        return total

    def _log_similarities(self, similarity: Tensor) -> None:
        size = len(similarity)
        if size < 2 or self._trainer is None:
            return
        others = similarity.masked_fill(torch.eye(size, dtype=torch.bool, device=similarity.device), -torch.inf)
        self.log_dict(
            {
                "train/similarity_positive": similarity.diagonal().mean(),
                "train/similarity_hardest_negative": others.amax(dim=1).mean(),
                "train/similarity_deviation": similarity.std(),
            },
            batch_size=size,
        )

    def configure_optimizers(self) -> OptimizerLRScheduler:
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        # Under fp16's loss scaling the fused form unscales by itself, after which Lightning can no longer clip.
        fused = self._trainer is None or self.trainer.precision != "16-mixed"
        groups: list[dict[str, Any]] = [{"params": trained}]
        table, rate = self.backbone.word_table(), self.optimisation.word_table_rate
        if table is not None and rate != 1:
            groups = [
                {"params": [parameter for parameter in trained if parameter is not table]},
                {"params": [table], "lr": self.optimisation.learning_rate * rate},
            ]
        optimizer = torch.optim.Adam(groups, lr=self.optimisation.learning_rate, fused=fused)
        if self.optimisation.cosine:
            shares = cosine_shares(int(self.trainer.estimated_stepping_batches), self.optimisation.warm_up)
            cosine = torch.optim.lr_scheduler.LambdaLR(optimizer, shares)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}
        schedule = torch.optim.lr_scheduler.StepLR(
            optimizer, self.optimisation.decay_every, gamma=self.optimisation.decay_factor
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip; then, in the first epochs, drop the prototypes' gradient, so that the norm still counts it.

        Raises:
            NonFiniteError: before the step is taken; not in fp16, whose loss scaling meets such gradients every day.
        """
        gradients = [parameter.grad for parameter in self.parameters() if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        self.log("train/gradient_norm", norm, batch_size=1)
        if self.trainer.precision != "16-mixed" and not torch.isfinite(norm + self._loss):
            raise NonFiniteError(
                f"step {self.global_step + 1}: loss {float(self._loss):.4g}, gradient norm {float(norm):.4g}; stopped "
                "before the weights took it; a lower training.learning_rate or strategy.precision=32-true may help"
            )
        if gradient_clip_val:
            torch.nn.utils.clip_grads_with_norm_(self.parameters(), float(gradient_clip_val), norm)
        if "concept" in self.losses and self.current_epoch < self.optimisation.prototype_freeze_epochs:
            self.losses["concept"].prototypes.grad = None

    # Evaluation: each image and each caption is encoded once

    def _start_gallery(self, loaders: Any) -> None:
        images, captions = loaders[:2]
        self.recall.reset_gallery(len(images.dataset), len(captions.dataset))
        self.alignment.reset()

    def _encode_batch(self, batch: ImageBatch | CaptionBatch | AlignmentBatch) -> None:
        if isinstance(batch, ImageBatch):
            self.recall.update(batch.ids, self.backbone.encode_images(batch).embedding)
        elif isinstance(batch, CaptionBatch):
            self.recall.update(batch.ids, self.backbone.encode_captions(batch).embedding, batch.image_ids)
        else:
            words = self.backbone.encode_captions(batch.pairs.captions).concepts
            if words is not None:
                regions = self.backbone.encode_images(batch.pairs.images).concepts
                self.alignment.update(regions, words, batch)

    def on_validation_epoch_start(self) -> None:
        self._start_gallery(self.trainer.val_dataloaders)

    def validation_step(self, batch: ImageBatch | CaptionBatch, batch_index: int, dataloader_idx: int = 0) -> None:
        self._encode_batch(batch)

    def on_validation_epoch_end(self) -> None:
        figures = self.recall.compute()
        self.log_dict({f"val/{name}": value for name, value in figures.items() if name != "rsum"})
        self.log("val/selection", sum(figures[name] for name in _SELECTION))
        self.log("val/rsum", figures["rsum"], prog_bar=True)

    def on_validation_end(self) -> None:
        self.recall.computed_on = None  # the callbacks have seen it

    def on_test_epoch_start(self) -> None:
        self._start_gallery(self.trainer.test_dataloaders)

    def test_step(
        self, batch: ImageBatch | CaptionBatch | AlignmentBatch, batch_index: int, dataloader_idx: int = 0
    ) -> None:
        self._encode_batch(batch)
