"""What a loss may read of a training step: a loss names its arguments, so that a new one changes no module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from selfalign.backbones.base import TwoTower
from selfalign.errors import UserError
from selfalign.processes.exchange import Shares
from selfalign.structures import CaptionEncoding, ContextEncoding, ImageEncoding, PairBatch


@dataclass(frozen=True)
class Step:
    """One training step of this process, its pairs encoded.

    Attributes:
        backbone: the two towers.
        batch, images, captions: of this process.
        shares: how the pairs of the whole batch are shared out.
        epoch: from 0.
    """

    backbone: TwoTower
    batch: PairBatch
    images: ImageEncoding
    captions: CaptionEncoding
    shares: Shares
    epoch: int

    @cached_property
    def similarity(self) -> Tensor:
        """(B, B) similarities of all processes' pairs, images × captions."""
        gather = self.shares.gather
        return self.backbone.similarity(self.images.embedding.map(gather), self.captions.embedding.map(gather))

    def context(self, encoding: ImageEncoding | CaptionEncoding) -> ContextEncoding:
        """What the context head made of all processes' pairs."""
        return _there(encoding.context, "a backbone with context heads").map(self.shares.gather)


OF_ALL_PAIRS: dict[str, Callable[[Step], Any]] = {
    "similarity": lambda step: step.similarity,
    "image_ids": lambda step: step.shares.gather(step.batch.images.ids),
    "image_context": lambda step: step.context(step.images),
    "caption_context": lambda step: step.context(step.captions),
    "all_image_concepts": lambda step: step.shares.gather(step.images.concepts),
    "all_region_masks": lambda step: None if step.images.mask is None else step.shares.gather(step.images.mask),
    "all_caption_concepts": lambda step: step.shares.gather(_words(step)),
    "all_caption_masks": lambda step: step.shares.gather(step.captions.mask),
    "all_caption_tokens": lambda step: step.shares.gather(step.batch.captions.tokens),
    "all_token_masks": lambda step: step.shares.gather(step.batch.captions.mask),  # encoded ones may be augmented
}
"""Gathered from all processes: a loss of these is that of the whole batch, the same on every process."""

OF_OWN_PAIRS: dict[str, Callable[[Step], Any]] = {
    "image_concepts": lambda step: step.images.concepts,
    "region_mask": lambda step: step.images.mask,
    "region_counts": lambda step: step.images.counts,
    "caption_concepts": lambda step: _words(step),
    "caption_mask": lambda step: step.captions.mask,
    "caption_counts": lambda step: step.captions.counts,
    "own_image_ids": lambda step: step.batch.images.ids,
    "caption_tokens": lambda step: step.batch.captions.tokens,
    "caption_lengths": lambda step: step.batch.captions.lengths,
    "token_counts": lambda step: step.batch.captions.counts,
    "region_weights": lambda step: _there(step.images.region_weights, "CAMERA, which weighs regions for its views"),
    "graph": lambda step: _there(step.images.graph, "VSRN, which has a graph output"),
}
"""Of this process's pairs; counts, which lie on the host, are of what stands before them. A loss of these says by
``reduction`` whether it is their ``mean`` or their ``sum``, or ``shared`` where it reads ``shares`` and returns this
process's contribution itself."""

_MASKS = {"image_concepts": "region_mask", "graph": "region_mask", "all_image_concepts": "all_region_masks"}
"""What a loss of regions has to read beside them where images have different numbers of them."""

OF_THE_STEP: dict[str, Callable[[Step], Any]] = {
    "epoch": lambda step: step.epoch,
    "processes": lambda step: step.shares.processes,
    "shares": lambda step: step.shares,
}
"""Neither."""


@dataclass(frozen=True)
class LossTerm:
    """A loss of a model, and what it reads.

    Attributes:
        loss: the module.
        weight: in the total.
        reads: names of its arguments, in order, all pairs' or this process's own.

    Raises:
        ValueError: if it reads what no step has, both kinds of pairs, or own pairs without a ``reduction``.

    Example:
        >>> from selfalign.losses.ranking import RankingLoss
        >>> LossTerm(RankingLoss(), 1.0, ("similarity", "image_ids", "epoch")).weight
        1.0
    """

    loss: nn.Module
    weight: float
    reads: tuple[str, ...]

    def __post_init__(self) -> None:
        known = OF_ALL_PAIRS | OF_OWN_PAIRS | OF_THE_STEP
        if unknown := [name for name in self.reads if name not in known]:
            raise ValueError(f"reads: expected names among {', '.join(known)}, got {unknown[0]!r}")
        own = [name for name in self.reads if name in OF_OWN_PAIRS]
        if own and any(name in OF_ALL_PAIRS for name in self.reads):
            raise ValueError(f"reads: expected all pairs or this process's own, got both in {', '.join(self.reads)}")
        reduction = getattr(self.loss, "reduction", None)
        if own and reduction not in ("mean", "sum", "shared"):
            raise ValueError(f"reduction: {type(self.loss).__name__} reads {own[0]}; expected it to say mean or sum")
        if own and (reduction == "shared") != ("shares" in self.reads):
            raise ValueError(f"reduction: {type(self.loss).__name__}: expected shared where it reads shares")

    def of(self, step: Step) -> Tensor:
        """Before its weight: what this process contributes, see :class:`selfalign.processes.exchange.Shares`."""
        known = OF_ALL_PAIRS | OF_OWN_PAIRS | OF_THE_STEP
        if step.images.mask is not None:
            self._require_mask()
        value = self.loss(*(known[name](step) for name in self.reads))
        if not any(name in OF_OWN_PAIRS for name in self.reads) or self.loss.reduction == "shared":
            return value
        return step.shares.of_mean(value) if self.loss.reduction == "mean" else step.shares.of_sum(value)

    def _require_mask(self) -> None:
        for name, mask in _MASKS.items():
            if name in self.reads and mask not in self.reads:
                raise UserError(
                    f"loss: {type(self.loss).__name__} takes padding for regions, and the images of these data have "
                    f"different numbers of regions; it has to read {mask} too"
                )


def _words(step: Step) -> Tensor:
    return _there(step.captions.concepts, "a text tower with words at the concept level")


def _there(value: Any, expected: str) -> Any:
    if value is None:
        raise ValueError(f"losses: expected {expected}")
    return value
