"""What a two-tower network does in Lightning: encode → losses → log in training, encode → recall in evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from selfalign.backbones.base import TwoTower
from selfalign.engine.modules.finite_steps import FiniteSteps, log_interval
from selfalign.engine.modules.optimisation import Optimisation, build_optimizer, build_schedule
from selfalign.engine.modules.readings import LossTerm, Step
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


class TwoTowerModule(pl.LightningModule):
    """A two-tower network with its losses, from ready parts.

    :class:`selfalign.engine.modules.retrieval.RetrievalModule` makes them from plain values.

    Args:
        backbone: the two towers.
        losses: by name. What is not there is not computed and has no parameters.
        optimisation: optimiser and schedule.
        augmentation: what a training step encodes in place of its pairs; losses read the pairs themselves.

    Attributes:
        loss_weights: of each of ``losses`` in the total.
        scores_test: whether a test ends with recalls; who ranks the gallery anyway sets it to ``False``.
        waits_rarely: whether what is no number is looked for when figures are logged only; ``None``: not on a CPU.
    """

    def __init__(
        self,
        backbone: TwoTower,
        losses: Mapping[str, LossTerm],
        optimisation: Optimisation,
        augmentation: Callable[[PairBatch], PairBatch] | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.losses = nn.ModuleDict({name: term.loss for name, term in losses.items()})
        self._terms = dict(losses)
        self.loss_weights = {name: term.weight for name, term in losses.items()}
        self.optimisation = optimisation
        self.augmentation = augmentation
        self.scores_test = True
        self._loss: Tensor | None = None
        self._finite = FiniteSteps()
        self.waits_rarely: bool | None = None
        self.recall = CrossModalRecall()
        self.alignment = AlignmentAccuracy()

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
        step = Step(self.backbone, batch, images, captions, shares, self.current_epoch)
        terms = {name: term.of(step) for name, term in self._terms.items()}
        if any("similarity" in term.reads for term in self._terms.values()):
            self._log_similarities(step.similarity.detach())
        return terms

    def training_step(self, batch: PairBatch, batch_index: int) -> Tensor:
        shares = Shares(current(), batch.rows or (len(batch.images.ids),))
        seen = batch if self.augmentation is None else self.augmentation(batch)
        images = self.backbone.encode_images(seen.images)
        captions = self.backbone.encode_captions(seen.captions)
        terms = self.loss_terms(batch, images, captions, shares)
        total = torch.stack([self.loss_weights[name] * value for name, value in terms.items()]).sum()
        values = shares.processes.mean(torch.stack([total, *terms.values()]).detach())
        self._loss = values[0] if self._loss is None else self._loss + values[0]  # of all batches of an optimiser step
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
        # Under fp16's loss scaling the fused form unscales by itself, after which Lightning can no longer clip.
        fused = self._trainer is None or self.trainer.precision != "16-mixed"
        optimizer = build_optimizer(self, self.optimisation, fused=fused)
        schedule = build_schedule(optimizer, self.optimisation, self._length)
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def _length(self) -> tuple[int, int]:
        """Optimiser steps of an epoch, and of the whole training."""
        epoch = -(-int(self.trainer.num_training_batches) // self.trainer.accumulate_grad_batches)
        epochs, limit = self.trainer.max_epochs, self.optimisation.max_steps
        total = epoch * (1 if epochs is None else epochs)
        return epoch, total if limit is None else min(total, limit)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip; then, in the first epochs, drop the prototypes' gradient, so that the norm still counts it.

        Raises:
            NonFiniteError: before the step is taken, also where that is found out steps later (:class:`FiniteSteps`);
                not in fp16, whose loss scaling meets such gradients every day.
        """
        gradients = [parameter.grad for parameter in self.parameters() if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        self.log("train/gradient_norm", norm, batch_size=1)
        if self.trainer.precision != "16-mixed" and self._loss is not None:
            self._require_finite(optimizer, norm, self._loss)
        self._loss = None
        if gradient_clip_val:
            torch.nn.utils.clip_grads_with_norm_(self.parameters(), float(gradient_clip_val), norm)
        if "concept" in self.losses and self.current_epoch < self.optimisation.prototype_freeze_epochs:
            self.losses["concept"].prototypes.grad = None

    def _require_finite(self, optimizer: torch.optim.Optimizer, norm: Tensor, loss: Tensor) -> None:
        """On a CPU at once; on a GPU, whose host would wait, when figures are logged and before anything is kept."""
        rarely = self.device.type != "cpu" if self.waits_rarely is None else self.waits_rarely
        step = self.global_step + 1
        self._finite.note(step, loss, norm)
        if not rarely or not optimizer.defaults.get("fused") or step % log_interval(self.trainer) == 0:
            self._finite.require()
        if rarely:
            optimizer.found_inf = self._finite.broken  # type: ignore[attr-defined]  # a fused one leaves the step out

    def require_finite(self) -> None:
        """Refuse to go on, to validate or to save, if a step since the last look gave no number.

        Raises:
            NonFiniteError: naming the step.
        """
        self._finite.require()

    def on_train_epoch_end(self) -> None:
        self.require_finite()

    # Evaluation: each image and each caption is encoded once

    def _start_gallery(self, loaders: Any, limits: Sequence[int | float]) -> None:
        images, captions = loaders[:2]
        part = any(limit < len(loader) for limit, loader in zip(limits, loaders, strict=True))
        self.recall.reset_gallery(len(images.dataset), len(captions.dataset), part=part)
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
        self.require_finite()
        self._start_gallery(self.trainer.val_dataloaders, self.trainer.num_val_batches)

    def validation_step(
        self, batch: ImageBatch | CaptionBatch | AlignmentBatch, batch_index: int, dataloader_idx: int = 0
    ) -> None:
        self._encode_batch(batch)

    def on_validation_epoch_end(self) -> None:
        if self.trainer.sanity_checking:
            return
        figures = self.recall.compute()
        self.log_dict({f"val/{name}": value for name, value in figures.items() if name != "rsum"})
        self.log("val/selection", sum(figures[name] for name in _SELECTION))
        self.log("val/rsum", figures["rsum"], prog_bar=True)
        if alignment := self.alignment.compute():
            self.log_dict({f"val/alignment_{name}": alignment[name] for name in ("accuracy", "pointing", "phrase")})

    def on_validation_end(self) -> None:
        self.recall.computed_on = None  # the callbacks have seen it

    def on_test_epoch_start(self) -> None:
        self._start_gallery(self.trainer.test_dataloaders, self.trainer.num_test_batches)

    def test_step(
        self, batch: ImageBatch | CaptionBatch | AlignmentBatch, batch_index: int, dataloader_idx: int = 0
    ) -> None:
        self._encode_batch(batch)

    def on_test_epoch_end(self) -> None:
        if self.scores_test:
            self.log_dict({f"test/{name}": value for name, value in self.recall.compute().items()})
            self.recall.computed_on = None

    def predict_step(
        self, batch: ImageBatch | CaptionBatch, batch_index: int, dataloader_idx: int = 0
    ) -> dict[str, Tensor | None]:
        """Embeddings of images (``views`` (B, V, D), ``context``) or captions (``vector`` (B, D), ``context``) by ids.

        Similarity is the largest product of a view and a vector plus the product of both contexts.
        """
        if isinstance(batch, ImageBatch):
            return {"ids": batch.ids, **vars(self.backbone.encode_images(batch).embedding)}
        return {"ids": batch.ids, "image_ids": batch.image_ids, **vars(self.backbone.encode_captions(batch).embedding)}
