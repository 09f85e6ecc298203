"""The trivial two-tower: one linear map on each side and a mean; what every other network has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from selfalign.backbones.base import Padding, TwoTower
from selfalign.backbones.initialisation import xavier_linear
from selfalign.backbones.text_encoders import attention_mask, encoded_words, require_encoder_options
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
        rows = RealRows(batch.regions.shape[:2], batch.mask, batch.counts)
        regions = rows.take(batch.regions.to(self.project.weight.dtype))  # (K, F)
        vector = self.project(rows.mean(regions))  # the map of the mean is the mean of the maps
        return ImageEncoding(
            embedding=ImageEmbedding(l2_normalize(vector, dim=-1)[:, None], None),
            concepts=l2_normalize(rows.put(self.project(regions)), dim=-1),  # (B, R, D)
            mask=batch.mask,
            counts=batch.counts,
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

    def forward(self, batch: CaptionBatch, rows: RealRows) -> CaptionEncoding:
        """Encode captions; the mean counts the words in ``rows``."""
        return _encoding(self.embedding(batch.tokens), batch, rows)


class BertWordsTower(nn.Module):
    """The words of a BERT → one linear map → their mean.

    Args:
        bert: a BERT-family model; its dropout is off.
        frozen: nothing of it is trained.
        concept_layer: of BERT, whose words are those of the concept level: 0 before any layer, ``None`` the last.
        width: D.
    """

    bert: PreTrainedModel

    def __init__(self, *, bert: PreTrainedModel, frozen: bool, concept_layer: int | None, width: int) -> None:
        super().__init__()
        require_encoder_options(
            bert, frozen=frozen, dropout=False, window=None, concept_layer=concept_layer, gradient_checkpointing=False
        )
        self.bert = bert
        self.bert_frozen = frozen
        self.concept_layer = concept_layer
        bert.requires_grad_(not frozen)
        self.project = xavier_linear(bert.config.hidden_size, width)

    def train(self, mode: bool = True) -> BertWordsTower:
        super().train(mode)
        self.bert.eval()
        return self

    def words(self, batch: CaptionBatch) -> Tensor:
        """(B, W, E) or (B, W, 2·E), see :func:`encoded_words`; computed before where it was."""
        if batch.words is not None:
            return batch.words.to(self.project.weight.dtype)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.bert_frozen):
            seen = attention_mask(self.bert, batch.mask, batch.counts)
            return encoded_words(self.bert, batch.tokens, seen, self.concept_layer)

    def forward(self, batch: CaptionBatch, rows: RealRows) -> CaptionEncoding:
        """Encode captions; the mean counts the words in ``rows``."""
        parts = self.words(batch).split(self.project.in_features, dim=-1)
        words = self.project(parts[0])
        concepts = words if self.concept_layer is None else self.project(parts[1])
        return _encoding(words, batch, rows, concepts)


def _encoding(words: Tensor, batch: CaptionBatch, rows: RealRows, concepts: Tensor | None = None) -> CaptionEncoding:
    """Of the mean of (B, W, D) ``words``; with words of the concept level of their own."""
    return CaptionEncoding(
        embedding=CaptionEmbedding(l2_normalize(rows.mean(rows.take(words)), dim=-1), None),
        concepts=l2_normalize(words if concepts is None else concepts, dim=-1),
        mask=batch.mask,
        counts=batch.counts,
    )


class LinearTwoTower(TwoTower):
    """A mean of regions and a mean of words, each behind one linear map.

    Args:
        region_width: F, read from the data.
        width: D.
        vocabulary_size: words of the vocabulary, for a bag of words.
        bert: a BERT-family model whose words take the place of the bag.
        bert_frozen, bert_concept_layer: see :class:`BertWordsTower`.
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
        bert_frozen: bool = True,
        bert_concept_layer: int | None = None,
        padding: Padding = "masked",
    ) -> None:
        super().__init__(padding=padding, towers="original", context=False)
        self.width = width
        self.image_tower = LinearImageTower(region_width=region_width, width=width)
        if bert is None:
            self.text_tower = BagOfWordsTower(vocabulary_size=vocabulary_size, width=width)
        else:
            self.text_tower = BertWordsTower(
                bert=bert, frozen=bert_frozen, concept_layer=bert_concept_layer, width=width
            )
