"""The trivial two-tower: one linear map on each side and a mean; what every other network has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from selfalign.backbones.base import Padding, TwoTower
from selfalign.backbones.initialisation import xavier_linear
from selfalign.functional.masking import RealRows
from selfalign.functional.normalize import l2_normalize
from selfalign.structures import (
    CaptionBatch,
    CaptionEmbedding,
    CaptionEncoding,
    ImageBatch,
    ImageEmbedding,
    ImageEncoding,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class LinearImageTower(nn.Module):
    """Mean of the regions → one linear map.

    Args:
        region_width: F.
        width: D.
    """

    def __init__(self, *, region_width: int, width: int) -> None:
        super().__init__()
        self.project = xavier_linear(region_width, width)

    def forward(self, batch: ImageBatch) -> ImageEncoding:
        rows = RealRows(batch.regions.shape[:2], batch.mask)
        regions = rows.take(batch.regions.to(self.project.weight.dtype))  # (K, F)
        vector = self.project(rows.mean(regions))  # the map of the mean is the mean of the maps
        return ImageEncoding(
            embedding=ImageEmbedding(l2_normalize(vector, dim=-1)[:, None], None),
            concepts=l2_normalize(rows.put(self.project(regions)), dim=-1),  # (B, R, D)
            mask=batch.mask,
        )


class BagOfWordsTower(nn.Module):
    """A table of word vectors, D wide, and their mean: a bag of words has no other order to it.

    Args:
        vocabulary_size: rows of the table.
        width: D.
    """

    def __init__(self, *, vocabulary_size: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, width)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)

    def forward(self, batch: CaptionBatch, countable: Tensor | None) -> CaptionEncoding:
        """Encode captions; the mean counts the words in ``countable`` (B, W), ``None`` for all."""
        rows = RealRows(batch.tokens.shape, countable)
        return _encoding(self.embedding(batch.tokens), batch, rows)


class BertWordsTower(nn.Module):
    """The words of a frozen BERT → one linear map → their mean.

    Args:
        bert: a BERT-family model; nothing of it is trained, and its dropout is off.
        width: D.
    """

    bert: PreTrainedModel

    def __init__(self, *, bert: PreTrainedModel, width: int) -> None:
        super().__init__()
        self.bert = bert
        bert.requires_grad_(False)
        self.project = xavier_linear(bert.config.hidden_size, width)

    def train(self, mode: bool = True) -> BertWordsTower:
        super().train(mode)
        self.bert.eval()
        return self

    @torch.no_grad()
    def words(self, batch: CaptionBatch) -> Tensor:
        """(B, W, E): BERT's last layer, computed before where it was."""
        if batch.words is not None:
            return batch.words.to(self.project.weight.dtype)
        return self.bert(input_ids=batch.tokens, attention_mask=batch.mask.long()).last_hidden_state

    def forward(self, batch: CaptionBatch, countable: Tensor | None) -> CaptionEncoding:
        """Encode captions; the mean counts the words in ``countable`` (B, W), ``None`` for all."""
        return _encoding(self.project(self.words(batch)), batch, RealRows(batch.tokens.shape, countable))


def _encoding(words: Tensor, batch: CaptionBatch, rows: RealRows) -> CaptionEncoding:
    """Of the mean of (B, W, D) ``words``."""
    return CaptionEncoding(
        embedding=CaptionEmbedding(l2_normalize(rows.mean(rows.take(words)), dim=-1), None),
        concepts=l2_normalize(words, dim=-1),
        mask=batch.mask,
    )


class LinearTwoTower(TwoTower):
    """A mean of regions and a mean of words, each behind one linear map.

    Args:
        region_width: F, read from the data.
        width: D.
        vocabulary_size: words of the vocabulary, for a bag of words.
        bert: a BERT-family model whose frozen words take the place of the bag.
        padding: see :class:`TwoTower`.
    """

    text_tower: BagOfWordsTower | BertWordsTower

    def __init__(
        self,
        *,
        region_width: int,
        width: int = 1024,
        vocabulary_size: int,
        bert: PreTrainedModel | None = None,
        padding: Padding = "masked",
    ) -> None:
        super().__init__(padding=padding, towers="original", context=False)
        self.width = width
        self.image_tower = LinearImageTower(region_width=region_width, width=width)
        if bert is None:
            self.text_tower = BagOfWordsTower(vocabulary_size=vocabulary_size, width=width)
        else:
            self.text_tower = BertWordsTower(bert=bert, width=width)
