"""What a user of the package may add, in its smallest form: a ranking loss, a backbone, a logger."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn

from selfalign.backbones.base import Padding, Towers, TwoTower
from selfalign.functional.masking import RealRows
from selfalign.functional.normalize import l2_normalize
from selfalign.metrics.rank_metrics import RankMetric, registered
from selfalign.settings import BACKBONES, LOSS_TERMS, RANKING_LOSSES, setting
from selfalign.structures import (
    CaptionBatch,
    CaptionEmbedding,
    CaptionEncoding,
    ImageBatch,
    ImageEmbedding,
    ImageEncoding,
)

HERE = "tests.extending.toys"


class SoftHinge(nn.Module):
    """A ranking loss: a hinge without a corner."""

    def __init__(self, sharpness: float) -> None:
        super().__init__()
        self.sharpness = sharpness

    def forward(self, similarity: Tensor) -> Tensor:
        gaps = similarity - similarity.diagonal()[:, None]
        return torch.nn.functional.softplus(self.sharpness * gaps).sum()


@dataclass(frozen=True)
class SoftHingeSettings:
    """A hinge without a corner."""

    weight: float = setting(1.0, at_least=0, doc="in the total")
    sharpness: float = setting(2.0, above=0, doc="of the bend")


class Decorrelation(nn.Module):
    """A further term: regions are to differ."""

    reduction = "mean"

    def forward(self, regions: Tensor) -> Tensor:
        return (regions @ regions.mT).square().mean()


@dataclass(frozen=True)
class DecorrelationSettings:
    """Regions are to differ."""

    weight: float = setting(0.0, at_least=0, doc="in the total")


class _Images(nn.Module):
    def __init__(self, region_width: int, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(region_width, width)

    def forward(self, batch: ImageBatch) -> ImageEncoding:
        regions = self.project(batch.regions)  # (B, R, D)
        views = l2_normalize(regions.mean(dim=1, keepdim=True), dim=-1)
        return ImageEncoding(ImageEmbedding(views, None), l2_normalize(regions, dim=-1))


class _Captions(nn.Module):
    def __init__(self, vocabulary_size: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, width)

    def forward(self, batch: CaptionBatch, rows: RealRows) -> CaptionEncoding:
        words = self.embedding(batch.tokens) * batch.mask[..., None]  # (B, W, D)
        vector = l2_normalize(words.sum(dim=1), dim=-1)
        return CaptionEncoding(CaptionEmbedding(vector, None), l2_normalize(words, dim=-1), batch.mask)


class Bags(TwoTower):
    """A backbone: bags of regions and words."""

    def __init__(
        self,
        *,
        region_width: int,
        vocabulary_size: int,
        width: int,
        padding: Padding = "masked",
        towers: Towers = "original",
        context: bool = False,
    ) -> None:
        super().__init__(padding=padding, towers=towers, context=context)
        self.width = width
        self.image_tower = _Images(region_width, width)
        self.text_tower = _Captions(vocabulary_size, width)


@dataclass(frozen=True)
class Words:
    """The words of the bags."""

    file: str | None = setting(None, path=True, doc="a vocabulary JSON; null: built from the training captions")
    minimum_count: int = setting(1, at_least=1, doc="how often a word occurs")
    tokenizer: str = setting("nltk_line", one_of=("nltk_line",), doc="how captions are split")


@dataclass(frozen=True)
class BagsSettings:
    """Bags of regions and words."""

    width: int = setting(16, at_least=1, doc="D")
    vocabulary: Words = setting(None, doc="its words")


class NotesLogger(Logger):
    """A logger whose class takes no ``save_dir``."""

    def __init__(self, notes: str) -> None:
        super().__init__()
        self._notes = Path(notes)

    @property
    def name(self) -> str:
        return "notes"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        pass

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        with self._notes.open("a") as file:
            file.write(json.dumps(metrics) + "\n")


def added() -> ExitStack:
    """All of them are there as long as the context lasts."""
    stack = ExitStack()
    stack.enter_context(
        RANKING_LOSSES.registered("soft", SoftHingeSettings, builds=f"{HERE}:SoftHinge", reads=("similarity",))
    )
    stack.enter_context(
        LOSS_TERMS.registered(
            "decorrelation", DecorrelationSettings, builds=f"{HERE}:Decorrelation", reads=("image_concepts",)
        )
    )
    stack.enter_context(
        BACKBONES.registered(
            "bags",
            BagsSettings,
            builds=f"{HERE}:Bags",
            tokenizer="words",
            boxes=False,
            defaults={"training.epochs": 2, "training.learning_rate": 1e-2},
            published={"coco": {"training.epochs": 3}},
        )
    )
    stack.enter_context(registered(RankMetric("mrr", "MRR", lambda ranks: 1 / ranks, 100.0)))
    return stack
