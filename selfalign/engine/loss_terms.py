"""What each loss of a model is worth: its value on right and on wrong pairs, and its gradient in either tower."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from selfalign.data.dataset import Split
from selfalign.engine.modules.retrieval import RetrievalModule
from selfalign.errors import UserError
from selfalign.processes.exchange import ALONE, Shares
from selfalign.structures import PairBatch


@dataclass(frozen=True)
class MeasuredTerm:
    """A loss with its weight, mean over batches.

    Attributes:
        name: of the loss.
        right: on images with their own captions.
        wrong: on images with captions of others, all else alike. A loss that tells right from wrong is larger here.
        image_gradient, text_gradient: norm of its gradient over the trained parameters of a tower, on right pairs.
    """

    name: str
    right: float
    wrong: float
    image_gradient: float
    text_gradient: float


def loss_terms(module: RetrievalModule, split: Split, *, batch_size: int, batches: int) -> list[MeasuredTerm]:
    """Measure each loss on the first captions of the first images of a split, BatchNorm and dropout as in evaluation.

    Args:
        module: the model; its parameters are left as they are.
        split: whose pairs are used.
        batch_size: pairs, each of another image.
        batches: how many, or as many as the split has.

    Raises:
        UserError: if the split has less than one batch.
    """
    _, firsts = np.unique(split.image_of_caption, return_index=True)
    count = min(batches, len(firsts) // batch_size)
    if count == 0:
        raise UserError(f"split: {len(firsts)} images are fewer than a batch of {batch_size}")
    module.eval().requires_grad_(True)
    if hasattr(module.backbone.text_tower, "bert") and getattr(module.backbone.text_tower, "bert_frozen", True):
        module.backbone.text_tower.bert.requires_grad_(False)
    measured: dict[str, list[tuple[float, ...]]] = {}
    for number in range(count):
        batch = split.pair_batch(firsts[number * batch_size : (number + 1) * batch_size])
        right = _terms(module, batch)
        with torch.no_grad():
            wrong = _terms(module, PairBatch(batch.images.map(lambda values: values.roll(1, 0)), batch.captions))
        for name, value in right.items():
            gradients = [_norm(value, tower) for tower in (module.backbone.image_tower, module.backbone.text_tower)]
            measured.setdefault(name, []).append((float(value.detach()), float(wrong[name]), *gradients))
    return [
        MeasuredTerm(name, *(float(np.mean(column)) for column in zip(*rows, strict=True)))
        for name, rows in measured.items()
    ]


def _terms(module: RetrievalModule, batch: PairBatch) -> dict[str, Tensor]:
    """Each loss times its weight."""
    images = module.backbone.encode_images(batch.images)
    captions = module.backbone.encode_captions(batch.captions)
    terms = module.loss_terms(batch, images, captions, Shares(ALONE, (len(batch.images.ids),)))
    return {name: module.loss_weights[name] * value for name, value in terms.items()}


def _norm(value: Tensor, tower: nn.Module) -> float:
    trained: Sequence[Tensor] = [parameter for parameter in tower.parameters() if parameter.requires_grad]
    if not value.requires_grad:
        return 0.0
    gradients = torch.autograd.grad(value, trained, retain_graph=True, allow_unused=True)
    return float(torch.nn.utils.get_total_norm([gradient for gradient in gradients if gradient is not None]))
