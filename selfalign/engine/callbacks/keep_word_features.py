"""Encodes captions with a frozen BERT once, before the first step and before the test."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn

from selfalign.backbones.camera import Camera
from selfalign.backbones.linear import LinearTwoTower
from selfalign.data.datamodule import RetrievalDataModule
from selfalign.data.text.captions import TokenizedCaptions
from selfalign.data.text.word_features import WordFeatures, write_word_features
from selfalign.engine.callbacks.terminal import tell
from selfalign.errors import UserError
from selfalign.files.kept import note_use

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class KeepWordFeatures(pl.Callback):
    """Writes or finds BERT's outputs in a folder and hands them to the data module (``backbone.bert.cache``).

    Args:
        bert: the frozen model, without dropout.
        data: of the run.
        folder: where the files lie, named after model and captions.
    """

    def __init__(self, bert: PreTrainedModel, data: RetrievalDataModule, folder: Path) -> None:
        self.bert, self.data, self.folder = bert, data, folder

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        weights = _digest_of(self.bert)
        for role in {"fit": ("train", "val"), "test": ("test",)}.get(stage, ()):
            captions = self.data.split(role).captions
            path = self.folder / f"words-{_name(weights, captions)}.npy"
            if trainer.is_global_zero and not path.is_file():
                tell(trainer, f"encoding {len(captions):,} captions with BERT, once: {path}")
                self._write(path, captions, trainer.strategy.root_device)
            trainer.strategy.barrier()
            if trainer.is_global_zero:
                note_use(path, f"{self.data.names[role]} of {self.data.root}, {len(captions):,} captions")
            self.data.use_word_features(role, WordFeatures(path, captions))

    @torch.no_grad()
    def _write(self, path: Path, captions: TokenizedCaptions, device: torch.device) -> None:
        bert, trained = self.bert, self.bert.training
        nn.Module.to(bert.eval(), device)

        def encode(tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
            mask = np.arange(tokens.shape[1]) < lengths[:, None]
            inputs = {"input_ids": tokens, "attention_mask": mask.astype(np.int64)}
            output = bert(**{name: torch.from_numpy(values).to(device) for name, values in inputs.items()})
            return output.last_hidden_state.float().cpu().numpy()

        write_word_features(path, captions, bert.config.hidden_size, encode)
        bert.train(trained)


def kept_word_features(config: Mapping[str, Any], module: Any, data: RetrievalDataModule) -> list[KeepWordFeatures]:
    """What ``backbone.bert.cache`` of a configuration asks for.

    Raises:
        UserError: if BERT's outputs are not the same every time.
    """
    bert = config["backbone"].get("bert") or {}
    if bert.get("cache") is None:
        return []
    if not bert.get("frozen", True) or bert.get("dropout", False) or config["padding"] != "masked":
        raise UserError(
            "backbone.bert.cache: needs backbone.bert.frozen=true backbone.bert.dropout=false padding=masked; "
            "otherwise BERT's outputs differ from step to step"
        )
    if config["data"].get("further"):
        raise UserError("backbone.bert.cache: keeps the words of one data set; expected data.further=[]")
    if bert.get("concept_layer") is not None:
        raise UserError("backbone.bert.cache: keeps the last layer; expected backbone.bert.concept_layer=null")
    if config["augmentation"]["words"]:
        raise UserError("backbone.bert.cache: needs augmentation.words=0; BERT's outputs of changed words are not kept")
    if not isinstance(module.backbone, Camera | LinearTwoTower):
        raise UserError("backbone.bert.cache: expected backbone=camera or backbone=linear_bert")
    encoder: Any = module.backbone.text_tower.bert
    return [KeepWordFeatures(encoder, data, Path(bert["cache"]).expanduser())]


def _digest_of(bert: PreTrainedModel) -> bytes:
    digest = hashlib.blake2b(json.dumps(bert.config.to_dict(), sort_keys=True, default=str).encode(), digest_size=16)
    for name, values in sorted(bert.state_dict().items()):
        digest.update(name.encode() + values.detach().cpu().contiguous().numpy().tobytes())
    return digest.digest()


def _name(weights: bytes, captions: TokenizedCaptions) -> str:
    digest = hashlib.blake2b(weights, digest_size=16)
    digest.update(captions.tokens.tobytes() + captions.offsets.tobytes())
    return digest.hexdigest()
