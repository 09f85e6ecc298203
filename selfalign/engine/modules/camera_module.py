"""CAMERA's LightningModule: the shared one plus the diversity loss."""

from __future__ import annotations

from torch import Tensor

from selfalign.engine.modules.retrieval import RetrievalModule
from selfalign.processes.exchange import Shares
from selfalign.structures import CaptionEncoding, ImageEncoding, PairBatch


class CameraModule(RetrievalModule):
    """CAMERA with or without SelfAlign; ``losses["diversity"]`` keeps the views of an image apart."""

    def loss_terms(
        self, batch: PairBatch, images: ImageEncoding, captions: CaptionEncoding, shares: Shares
    ) -> dict[str, Tensor]:
        terms = super().loss_terms(batch, images, captions, shares)
        if "diversity" in self.losses:
            terms["diversity"] = shares.of_sum(self.losses["diversity"](images.region_weights))
        return terms
