"""Series of a run with the concept loss: how the words use the prototypes."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from selfalign.engine.callbacks.step_counter import StepCounter
from selfalign.functional.masking import real_rows
from selfalign.losses.concept_alignment import ConceptAlignmentLoss
from selfalign.processes.exchange import current

_WINDOW = 10
"""Measured batches that the unused prototypes are counted over; fewer would call too many unused."""


@torch.no_grad()
def prototype_histogram(words: Tensor, mask: Tensor, prototypes: Tensor) -> Tensor:
    """(P,) int64: how many words have each prototype as their most similar one.

    Args:
        words: (B, W, D), unit length over D.
        mask: (B, W) bool, words that count: those of the concept loss, special tokens among them.
        prototypes: (P, D), unit rows.
    """
    chosen = (real_rows(words, mask).to(prototypes.dtype) @ prototypes.mT).argmax(dim=-1)  # (K,)
    return torch.bincount(chosen, minlength=len(prototypes))


def normalised_entropy(histogram: Tensor) -> Tensor:
    """Entropy of a (P,) histogram as a share of the largest one, log P: 0 if one bin has all, 1 if all have as much."""
    shares = histogram.double() / histogram.sum()
    return -torch.xlogy(shares, shares).sum() / math.log(max(2, len(histogram)))


class PrototypeUse(pl.Callback):
    """Logs, at each logging step, from the words of all processes:

    ``train/prototype_entropy``: :func:`normalised_entropy` of the step's :func:`prototype_histogram`.
    ``train/prototypes_unused``: share of the prototypes, in percent, that no word chose in the last ten measured
    batches; from the tenth on.

    Nothing is logged for a model without concept loss.

    Args:
        every: optimiser steps between two logging steps.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._hook: RemovableHandle | None = None
        self._due = False
        self._counts: Tensor | None = None
        self._counter = StepCounter()
        self._window: deque[Tensor] = deque(maxlen=_WINDOW)

    def state_dict(self) -> dict[str, Any]:
        return {"window": [counts.cpu() for counts in self._window]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._window.extend(state_dict["window"])

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        losses = pl_module.losses
        if isinstance(losses, nn.ModuleDict) and "concept" in losses:
            self._hook = losses["concept"].register_forward_hook(self._observe)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def on_train_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self._counter.start(trainer)

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self._due = (trainer.global_step + 1) % self.every == 0

    def _observe(self, loss: ConceptAlignmentLoss, inputs: tuple[Any, ...], _: Tensor) -> None:
        if self._due:
            words, mask = inputs[1:3]
            counts = prototype_histogram(words, mask, loss.prototypes)
            self._counts = counts if self._counts is None else self._counts + counts  # over the batches of a step

    @torch.no_grad()
    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        stepped = self._counter.has_stepped(trainer)
        if self._counts is None or not stepped:
            return
        counts = current().sum(self._counts).cpu()
        self._counts = None
        self._window.append(counts)
        figures = {"train/prototype_entropy": normalised_entropy(counts).float()}
        if len(self._window) == _WINDOW:
            unused = torch.stack([*self._window]).sum(dim=0) == 0
            figures["train/prototypes_unused"] = 100 * unused.float().mean()
        pl_module.log_dict(figures)
