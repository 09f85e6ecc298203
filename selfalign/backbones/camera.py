"""CAMERA (METHOD section 3): gated self-attention over regions and words, V views of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from selfalign.backbones.base import Padding, Towers, TwoTower, require_one_of
from selfalign.backbones.batch_norm import BatchNorm, LinearBeforeNorm
from selfalign.backbones.concept_heads import Concepts, WordConvolution
from selfalign.backbones.context_head import ContextHead, caption_context, image_context
from selfalign.backbones.gated_attention import GatedSelfAttention
from selfalign.backbones.initialisation import xavier_linear
from selfalign.backbones.pooling.base import Pooling
from selfalign.backbones.pooling.mean import MeanPooling
from selfalign.backbones.text_encoders import (
    attention_mask,
    compute_again,
    embedding_width,
    encoded_words,
    require_encoder_options,
)
from selfalign.backbones.view_summary import ViewSummary
from selfalign.functional.masking import RealRows
from selfalign.functional.normalize import NormAxis, l2_normalize, normalize_along
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
        pooling: one view, made by it, in place of the published summary of V.
        norm_axis: axis of the norms after the projection and before the summary, over regions as published.
        zero_start: see :class:`GatedSelfAttention`.
        concepts: see :data:`Concepts`.
    """

    def __init__(
        self,
        *,
        region_width: int,
        width: int,
        heads: int,
        views: int,
        dropout: float,
        context: bool,
        pooling: Pooling | None = None,
        norm_axis: NormAxis = "regions",
        zero_start: bool = False,
        concepts: Concepts = "shared",
    ) -> None:
        super().__init__()
        self.project = xavier_linear(region_width, width)
        self.position = nn.Linear(_POSITION_WIDTH, width)
        self.attention = GatedSelfAttention(width, heads, dropout, zero_start=zero_start)
        self.summary = ViewSummary(width, views) if pooling is None else None
        self.pooling = pooling
        self.norm_axis = norm_axis
        self.concept = None if concepts == "shared" else nn.Linear(region_width, width)
        self.context = ContextHead(width) if context else None

    def forward(self, batch: ImageBatch) -> ImageEncoding:
        if batch.positions is None:
            raise ValueError("positions: expected (B, R, 6) box positions for CAMERA, got None")
        rows = RealRows(batch.regions.shape[:2], batch.mask, batch.counts)
        raw = rows.take(batch.regions.to(self.project.weight.dtype))  # (K, F)
        regions = normalize_along(rows.put(self.project(raw)), self.norm_axis)  # (B, R, D)
        positions = torch.sigmoid(self.position(batch.positions))  # (B, R, D)
        attended = self.attention(rows.take(regions * positions), residual=rows.take(regions), rows=rows)  # (K, D)
        views, scores = self._views(attended, rows)
        context = self.context(attended, rows) if self.context is not None else None
        return ImageEncoding(
            embedding=ImageEmbedding(views, image_context(context)),
            concepts=l2_normalize(regions if self.concept is None else rows.put(self.concept(raw)), dim=-1),
            context=context,
            region_weights=scores,
            mask=batch.mask,
            counts=batch.counts,
        )

    def _views(self, attended: Tensor, rows: RealRows) -> tuple[Tensor, Tensor | None]:
        """Views (B, V, D) and, of the published summary, their scores (B, R, V)."""
        regions = normalize_along(rows.put(attended), self.norm_axis)
        if self.summary is not None:
            return self.summary(regions, rows.mask)
        if self.pooling is None:
            raise ValueError("pooling: expected one where there is no published summary")
        return l2_normalize(self.pooling(rows.take(regions), rows), dim=-1)[:, None], None


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
        pooling: in place of the published mean over words.
        norm_axis: axis of SelfAlign's norm after the mapping, over words as published.
        zero_start: the BatchNorms of attention and MLP start at weight 0: both start as their residuals alone.
        concepts: see :data:`Concepts`.
        window: words of BERT see this many neighbours on each side; ``None`` for all.
        concept_layer: of BERT, whose words are those of the concept level: 0 before any layer, ``None`` the last.
        gradient_checkpointing: BERT computes its layers again for the gradient, in place of keeping them.
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
        pooling: Pooling | None = None,
        norm_axis: NormAxis = "regions",
        zero_start: bool = False,
        concepts: Concepts = "shared",
        window: int | None = None,
        concept_layer: int | None = None,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        require_encoder_options(
            bert,
            frozen=bert_frozen,
            dropout=bert_dropout,
            window=window,
            concept_layer=concept_layer,
            gradient_checkpointing=gradient_checkpointing,
        )
        if concept_layer is not None and concepts == "convolution":
            raise ValueError(
                "bert.concept_layer: expected null with concepts=convolution, whose words have seen no others"
            )
        self.bert = bert
        self.bert_frozen = bert_frozen
        self.bert_dropout = bert_dropout
        bert.requires_grad_(not bert_frozen)
        if gradient_checkpointing:
            compute_again(bert)
        self.concept_layer = concept_layer
        bert_width = bert.config.hidden_size
        self.project = xavier_linear(bert_width, width) if word_norm else nn.Linear(bert_width, width)
        self.norm_axis: NormAxis = norm_axis if word_norm else "none"
        self.window = window
        self.pooling = pooling or MeanPooling()
        self.attention = GatedSelfAttention(width, heads, dropout, zero_start=zero_start)
        self.expand = nn.Linear(width, width)
        self.contract = LinearBeforeNorm(width, width)
        self.norm = BatchNorm(width)
        if zero_start:
            nn.init.zeros_(self.norm.weight)
        self.dropout = nn.Dropout(dropout)
        self.context = ContextHead(width) if context else None
        self.concept: nn.Module | None = None
        if concepts == "linear":
            self.concept = nn.Linear(bert_width, width)
        elif concepts == "convolution":
            self.concept = WordConvolution(embedding_width(bert), width)

    def train(self, mode: bool = True) -> CameraTextTower:
        super().train(mode)
        if not self.bert_dropout:
            self.bert.eval()  # which only its dropout knows of
        return self

    def words(self, batch: CaptionBatch, only_real: bool) -> Tensor:
        """(B, W, width of BERT): its last layer, and behind it, twice as wide, the concept level's where it is another.

        Where ``only_real`` words count, short captions and long ones go through it apart on the CPU, whose time goes
        by words, padding too; on a GPU, not measured, all go at once.
        """
        if batch.words is not None:
            return batch.words.to(self.project.weight.dtype)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.bert_frozen):
            if not only_real or batch.tokens.device.type != "cpu":
                return self._encoded(batch.tokens, batch.mask, batch.counts)
            order = batch.counts.argsort(stable=True)
            parts = [self._shortened(batch, part) for part in order.split(_CAPTIONS_AT_ONCE)]
            return torch.cat(parts)[order.argsort()]

    def _shortened(self, batch: CaptionBatch, part: Tensor) -> Tensor:
        """Words of the captions ``part`` alone, run at the length of their longest and padded again."""
        counts = batch.counts[part]
        width = max(counts.tolist())
        encoded = self._encoded(batch.tokens[part, :width], batch.mask[part, :width], counts)
        return nn.functional.pad(encoded, (0, 0, 0, batch.tokens.shape[1] - width))

    def _encoded(self, tokens: Tensor, mask: Tensor, counts: Tensor) -> Tensor:
        seen = attention_mask(self.bert, mask, counts, self.window)
        return encoded_words(self.bert, tokens, seen, self.concept_layer)

    def _concepts(self, tokens: Tensor, encoded: Tensor, words: Tensor, rows: RealRows) -> Tensor:
        """(B, W, D) words of the concept level, from BERT's (K, E) of its layer and the mapped last ones (B, W, D)."""
        if self.concept is None:
            return words if self.concept_layer is None else self._mapped(encoded, rows)
        if not isinstance(self.concept, WordConvolution):
            return rows.put(self.concept(encoded))
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.bert_frozen):
            vectors = self.bert.get_input_embeddings()(tokens)
        return rows.put(self.concept(rows.take(vectors), rows))

    def _mapped(self, encoded: Tensor, rows: RealRows) -> Tensor:
        """(B, W, D) of BERT's (K, E)."""
        return normalize_along(rows.put(self.project(encoded)), self.norm_axis)

    def forward(self, batch: CaptionBatch, rows: RealRows) -> CaptionEncoding:
        """Encode captions; means, statistics and attention see the words in ``rows``."""
        encoded = rows.take(self.words(batch, only_real=rows.mask is not None))  # (K, E), or (K, 2·E)
        last, of_concepts = (
            encoded.split(self.project.in_features, dim=-1) if self.concept_layer is not None else (encoded, encoded)
        )
        words = self._mapped(last, rows)  # (B, W, D)
        real = rows.take(words)  # (K, D)
        attended = self.attention(real, residual=real, rows=rows)  # (K, D)
        update = self.contract(self.dropout(torch.relu(self.expand(attended))))
        enriched = attended + self.dropout(self.norm(update))
        context = self.context(attended, rows) if self.context is not None else None
        return CaptionEncoding(
            embedding=CaptionEmbedding(
                l2_normalize(self.pooling(enriched, rows), dim=-1),
                caption_context(context),
            ),
            concepts=l2_normalize(self._concepts(batch.tokens, of_concepts, words, rows), dim=-1),
            mask=batch.mask,
            context=context,
            counts=batch.counts,
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
        image_pooling: one view made by it; ``None`` for the published V views.
        text_pooling: of words; ``None`` for the published mean.
        norm_axis: axis of every norm over regions, and of SelfAlign's over words.
        zero_start: BatchNorms of residual branches start at weight 0, not at 1 as published.
        concepts: see :data:`Concepts`.
        bert_window, bert_concept_layer, bert_gradient_checkpointing: see :class:`CameraTextTower`.
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
        image_pooling: Pooling | None = None,
        text_pooling: Pooling | None = None,
        norm_axis: NormAxis = "regions",
        zero_start: bool = False,
        concepts: Concepts = "shared",
        bert_window: int | None = None,
        bert_concept_layer: int | None = None,
        bert_gradient_checkpointing: bool = False,
        padding: Padding = "masked",
        towers: Towers = "selfalign",
        context: bool = True,
    ) -> None:
        super().__init__(padding=padding, towers=towers, context=context)
        require_one_of("norm_axis", norm_axis, NormAxis)
        require_one_of("concepts", concepts, Concepts)
        self.width = width
        self.image_tower = CameraImageTower(
            region_width=region_width,
            width=width,
            heads=heads,
            views=views,
            dropout=dropout,
            context=context,
            pooling=image_pooling,
            norm_axis=norm_axis,
            zero_start=zero_start,
            concepts=concepts,
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
            pooling=text_pooling,
            norm_axis=norm_axis,
            zero_start=zero_start,
            concepts=concepts,
            window=bert_window,
            concept_layer=bert_concept_layer,
            gradient_checkpointing=bert_gradient_checkpointing,
        )
