"""CAMERA (METHOD section 3): gated self-attention over regions and words, V views of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from selfalign.backbones.base import Padding, Towers, TwoTower
from selfalign.backbones.batch_norm import BatchNorm, LinearBeforeNorm
from selfalign.backbones.context_head import ContextHead, caption_context, image_context
from selfalign.backbones.gated_attention import GatedSelfAttention
from selfalign.backbones.initialisation import xavier_linear
from selfalign.backbones.view_summary import ViewSummary
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

_POSITION_WIDTH = 6
_CAPTIONS_AT_ONCE = 32


class CameraImageTower(nn.Module):
    """Regions and their boxes → V views.

    Args:
        region_width: F.
        width: D.
        heads: heads of the gated attention.
        views: V.
        dropout: probability in the gated attention.
        context: build the context head.
    """

    def __init__(self, *, region_width: int, width: int, heads: int, views: int, dropout: float, context: bool) -> None:
        super().__init__()
        self.project = xavier_linear(region_width, width)
        self.position = nn.Linear(_POSITION_WIDTH, width)
        self.attention = GatedSelfAttention(width, heads, dropout)
        self.summary = ViewSummary(width, views)
        self.context = ContextHead(width) if context else None

    def forward(self, batch: ImageBatch) -> ImageEncoding:
        if batch.positions is None:
            raise ValueError("positions: expected (B, R, 6) box positions for CAMERA, got None")
        regions = self.project(batch.regions.to(self.project.weight.dtype))
        regions = l2_normalize(regions, dim=1)  # (B, R, D), over regions as published
        positions = torch.sigmoid(self.position(batch.positions))  # (B, R, D)
        rows = RealRows(regions.shape[:2], None)
        attended = self.attention(rows.take(regions * positions), residual=rows.take(regions), rows=rows)  # (B·R, D)
        views, scores = self.summary(l2_normalize(rows.put(attended), dim=1))
        context = self.context(attended, rows) if self.context is not None else None
        return ImageEncoding(
            embedding=ImageEmbedding(views, image_context(context)),
            concepts=l2_normalize(regions, dim=-1),
            context=context,
            region_weights=scores,
        )


class CameraTextTower(nn.Module):
    """Word pieces → one vector, through BERT, gated attention and a residual MLP.

    Args:
        bert: a BERT-family model.
        bert_frozen: train none of its parameters, as published.
        bert_dropout: its dropout is active in training, even when it is frozen, as published; ``False``: never.
        width: D.
        heads: heads of the gated attention.
        dropout: probability in the gated attention and in the MLP.
        word_norm: Xavier start of the mapping and ``norm_R`` over words after it (SelfAlign's tower).
        context: build the context head.
    """

    bert: PreTrainedModel

    def __init__(
        self,
        *,
        bert: PreTrainedModel,
        bert_frozen: bool,
        bert_dropout: bool,
        width: int,
        heads: int,
        dropout: float,
        word_norm: bool,
        context: bool,
    ) -> None:
        super().__init__()
        self.bert = bert
        self.bert_frozen = bert_frozen
        self.bert_dropout = bert_dropout
        bert.requires_grad_(not bert_frozen)
        bert_width = bert.config.hidden_size
        self.project = xavier_linear(bert_width, width) if word_norm else nn.Linear(bert_width, width)
        self.word_norm = word_norm
        self.attention = GatedSelfAttention(width, heads, dropout)
        self.expand = nn.Linear(width, width)
        self.contract = LinearBeforeNorm(width, width)
        self.norm = BatchNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.context = ContextHead(width) if context else None

    def train(self, mode: bool = True) -> CameraTextTower:
        super().train(mode)
        if not self.bert_dropout:
            self.bert.eval()  # which only its dropout knows of
        return self

    def words(self, batch: CaptionBatch, only_real: bool) -> Tensor:
        """(B, W, width of BERT): its last layer.

        Where ``only_real`` words count, short captions and long ones go through it apart on the CPU, whose time goes
        by words, padding too; on a GPU, not measured, all go at once.
        """
        if batch.words is not None:
            return batch.words.to(self.project.weight.dtype)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.bert_frozen):
            if not only_real or batch.tokens.device.type != "cpu":
                return self._encoded(batch.tokens, batch.mask)
            order = batch.lengths.argsort(stable=True)
            parts = [self._shortened(batch, part) for part in order.split(_CAPTIONS_AT_ONCE)]
            return torch.cat(parts)[order.argsort()]

    def _shortened(self, batch: CaptionBatch, part: Tensor) -> Tensor:
        """Words of the captions ``part`` alone, run at the length of their longest and padded again."""
        width = int(batch.lengths[part].max())
        encoded = self._encoded(batch.tokens[part, :width], batch.mask[part, :width])
        return nn.functional.pad(encoded, (0, 0, 0, batch.tokens.shape[1] - width))

    def _encoded(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return self.bert(input_ids=tokens, attention_mask=mask.long()).last_hidden_state

    def forward(self, batch: CaptionBatch, countable: Tensor | None) -> CaptionEncoding:
        """Encode captions; means, statistics and attention see the words in ``countable`` (B, W), ``None`` for all."""
        rows = RealRows(batch.tokens.shape, countable)
        words = rows.put(self.project(rows.take(self.words(batch, only_real=countable is not None))))  # (B, W, D)
        if self.word_norm:
            words = l2_normalize(words, dim=1)  # over words, as published
        real = rows.take(words)  # (K, D)
        attended = self.attention(real, residual=real, rows=rows)  # (K, D)
        update = self.contract(self.dropout(torch.relu(self.expand(attended))))
        enriched = attended + self.dropout(self.norm(update))
        context = self.context(attended, rows) if self.context is not None else None
        return CaptionEncoding(
            embedding=CaptionEmbedding(
                l2_normalize(rows.mean(enriched), dim=-1),
                caption_context(context),
            ),
            concepts=l2_normalize(words, dim=-1),
            mask=batch.mask,
            context=context,
        )


class Camera(TwoTower):
    """CAMERA, with or without SelfAlign's towers.

    Args:
        region_width: F, read from the data.
        bert: a BERT-family model.
        bert_frozen: train none of BERT's parameters, as published.
        bert_dropout: BERT's dropout is active in training, even when it is frozen, as published; ``False``: never.
        width: D.
        heads: heads of the gated attention.
        views: V.
        dropout: probability outside BERT, 0 as published.
        padding, towers, context: see :class:`TwoTower`.
    """

    text_tower: CameraTextTower

    def __init__(
        self,
        *,
        region_width: int,
        bert: PreTrainedModel,
        bert_frozen: bool = True,
        bert_dropout: bool = True,
        width: int = 2048,
        heads: int = 64,
        views: int = 12,
        dropout: float = 0.0,
        padding: Padding = "masked",
        towers: Towers = "selfalign",
        context: bool = True,
    ) -> None:
        super().__init__(padding=padding, towers=towers, context=context)
        self.width = width
        self.image_tower = CameraImageTower(
            region_width=region_width, width=width, heads=heads, views=views, dropout=dropout, context=context
        )
        self.text_tower = CameraTextTower(
            bert=bert,
            bert_frozen=bert_frozen,
            bert_dropout=bert_dropout,
            width=width,
            heads=heads,
            dropout=dropout,
            word_norm=towers == "selfalign",
            context=context,
        )
