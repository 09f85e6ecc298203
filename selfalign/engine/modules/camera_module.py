"""CAMERA's LightningModule."""

from __future__ import annotations

from selfalign.engine.modules.retrieval import RetrievalModule


class CameraModule(RetrievalModule):
    """CAMERA with or without SelfAlign; see :class:`RetrievalModule`, which any model has.

    ``CameraModule.load_from_checkpoint("best.ckpt")`` refuses checkpoints of another backbone.
    """
