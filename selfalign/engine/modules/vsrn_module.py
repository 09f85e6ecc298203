"""VSRN's LightningModule: the shared one plus the captioning loss."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from selfalign.backbones.caption_decoder import RegionCaptioner
from selfalign.engine.modules.retrieval import RetrievalModule
from selfalign.losses.captioning import captioning_loss, captioning_targets
from selfalign.processes.exchange import Shares
from selfalign.structures import CaptionEncoding, ImageEncoding, PairBatch


class VsrnModule(RetrievalModule):
    """VSRN with or without SelfAlign; ``losses["captioning"]``, if there, is the captioner itself.

    Args:
        maximum_caption: tokens to which the captioner's target is cut, 60 as published.
        others: see :class:`RetrievalModule`.
    """

    def __init__(self, *args: Any, maximum_caption: int = 60, **others: Any) -> None:
        super().__init__(*args, **others)
        self.maximum_caption = maximum_caption

    def loss_terms(
        self, batch: PairBatch, images: ImageEncoding, captions: CaptionEncoding, shares: Shares
    ) -> dict[str, Tensor]:
        terms = super().loss_terms(batch, images, captions, shares)
        if "captioning" in self.losses:
            captioner = self.losses["captioning"]
            if not isinstance(captioner, RegionCaptioner) or images.graph is None:
                raise ValueError("captioning: expected a RegionCaptioner and a backbone with graph output")
            targets, mask = captioning_targets(batch.captions.tokens, batch.captions.lengths, self.maximum_caption)
            logits = captioner(images.graph, targets[:, :-1], mask[:, 1:])  # (K, vocabulary)
            terms["captioning"] = shares.of_mean(captioning_loss(logits, targets, mask))
        return terms
