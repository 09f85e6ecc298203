"""VSRN (METHOD section 2): graph reasoning over regions and a GRU in both towers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from selfalign.backbones.base import Padding, Towers, TwoTower, require_one_of
from selfalign.backbones.batch_norm import BatchNorm
from selfalign.backbones.concept_heads import Concepts, WordConvolution
from selfalign.backbones.context_head import ContextHead, caption_context, image_context
from selfalign.backbones.graph_reasoning import GraphReasoning
from selfalign.backbones.initialisation import xavier_linear
from selfalign.backbones.pooling.base import Pooling
from selfalign.backbones.pooling.mean import MeanPooling
from selfalign.functional.masking import RealRows, packed
from selfalign.functional.normalize import NormAxis, l2_normalize, normalize_along
from selfalign.structures import (
    CaptionBatch,
    CaptionEmbedding,
    CaptionEncoding,
    ImageBatch,
    ImageEmbedding,
    ImageEncoding,
)

_GRAPH_BLOCKS = 4
_WORD_RANGE = 0.1


class VsrnImageTower(nn.Module):
    """Regions → graph reasoning → GRU over regions → one vector.

    Args:
        region_width: F.
        width: D.
        final_norm: BatchNorm on the vector (Flickr30K's published setting).
        region_norm: ``norm_R`` after the projection (COCO's published setting).
        context: build the context head.
        pooling: makes the vector of the graph output, in place of the published GRU over regions.
        norm_axis: axis of both norms over regions, regions as published.
        concepts: see :data:`Concepts`.
    """

    def __init__(
        self,
        *,
        region_width: int,
        width: int,
        final_norm: bool,
        region_norm: bool,
        context: bool,
        pooling: Pooling | None = None,
        norm_axis: NormAxis = "regions",
        concepts: Concepts = "shared",
    ) -> None:
        super().__init__()
        self.project = xavier_linear(region_width, width)
        self.region_norm = region_norm
        blocks = [GraphReasoning(width) for _ in range(_GRAPH_BLOCKS)]
        self.graph = nn.Sequential(*blocks)
        self.rnn = nn.GRU(width, width, batch_first=True) if pooling is None else None
        self.pooling = pooling
        self.norm_axis = norm_axis
        self.concept = None if concepts == "shared" else nn.Linear(region_width, width)
        self.final_norm = BatchNorm(width) if final_norm else nn.Identity()
        self.context = ContextHead(width) if context else None
        alone = norm_axis == "none" and self.concept is not None and not context
        if alone and final_norm and isinstance(pooling, MeanPooling):
            # Biases that add one constant to all regions: what reads these has biases of its own, and the final norm
            # takes the constant away from their mean. Their gradients are rounding noise, see LinearBeforeNorm.
            for bias in (self.project.bias, *(block.output_norm.bias for block in blocks)):
                bias.requires_grad_(False)

    def forward(self, batch: ImageBatch) -> ImageEncoding:
        rows = RealRows(batch.regions.shape[:2], batch.mask, batch.counts)
        raw = rows.take(batch.regions.to(self.project.weight.dtype))  # (K, F)
        regions = rows.put(self.project(raw))  # (B, R, D)
        if self.region_norm:
            regions = normalize_along(regions, self.norm_axis)
        reasoned = regions
        for block in self.graph:
            reasoned = block(reasoned, rows)
        graph = normalize_along(reasoned, self.norm_axis)
        vector = l2_normalize(self.final_norm(self._summary(graph, rows)), dim=-1)
        context = self.context(rows.take(reasoned), rows) if self.context is not None else None
        return ImageEncoding(
            embedding=ImageEmbedding(vector[:, None], image_context(context, fused_first=True)),
            concepts=l2_normalize(regions if self.concept is None else rows.put(self.concept(raw)), dim=-1),
            context=context,
            graph=graph,
            mask=batch.mask,
            counts=batch.counts,
        )

    def _summary(self, graph: Tensor, rows: RealRows) -> Tensor:
        """(B, D): the pooled regions, or the GRU's last hidden state."""
        if self.rnn is not None:
            return self.rnn(rows.packed(graph))[1][0]
        if self.pooling is None:
            raise ValueError("pooling: expected one where there is no GRU over regions")
        return self.pooling(rows.take(graph), rows)


class VsrnTextTower(nn.Module):
    """Words → GRU → its state at the last real word.

    Args:
        vocabulary_size: rows of the word table.
        word_width: width of the word table, 300 as published.
        width: D.
        word_projection: a linear map to D before the GRU (SelfAlign's tower).
        context: build the context head.
        pooling: makes the vector of the states of all words, in place of the published state at the last one.
        shortcut: every state has its word's projection added to it before it is pooled.
        concepts: see :data:`Concepts`.
    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        word_width: int,
        width: int,
        word_projection: bool,
        context: bool,
        pooling: Pooling | None = None,
        shortcut: bool = False,
        concepts: Concepts = "shared",
    ) -> None:
        super().__init__()
        if shortcut and (pooling is None or not word_projection):
            raise ValueError("shortcut: expected a text pooling and SelfAlign's towers, which project words")

        self.embedding = nn.Embedding(vocabulary_size, word_width)
        nn.init.uniform_(self.embedding.weight, -_WORD_RANGE, _WORD_RANGE)
        self.project = xavier_linear(word_width, width) if word_projection else None
        self.rnn = nn.GRU(width if word_projection else word_width, width, batch_first=True)
        self.context = ContextHead(width) if context else None
        self.pooling = pooling
        self.shortcut = shortcut
        self.concept: nn.Module | None = None
        if concepts == "linear":
            self.concept = nn.Linear(word_width, width)
        elif concepts == "convolution":
            self.concept = WordConvolution(word_width, width)

    def forward(self, batch: CaptionBatch, rows: RealRows) -> CaptionEncoding:
        """Encode captions; means and statistics see the words in ``rows``."""
        tokens = batch.tokens
        # Places of the K real words among B·W, in the order in which a packed GRU takes them.
        places = packed(torch.arange(tokens.numel(), device=tokens.device).view_as(tokens), batch.counts)

        def padded(rows: Tensor) -> Tensor:
            """(K, D) → (B, W, D), zeros at padding."""
            filled = torch.index_copy(rows.new_zeros(tokens.numel(), rows.shape[1]), 0, places.data, rows)
            return filled.view(*tokens.shape, -1)

        vectors = self.embedding(tokens.flatten()[places.data])  # (K, E)
        words = vectors if self.project is None else self.project(vectors)
        states = padded(self.rnn(places._replace(data=words))[0].data)
        if self.pooling is None:
            vector = states[torch.arange(len(states), device=states.device), batch.lengths - 1]  # (B, D)
        else:
            vector = self.pooling(rows.take(states + padded(words) if self.shortcut else states), rows)
        context = self.context(rows.take(states), rows) if self.context is not None else None
        real = RealRows(tokens.shape, batch.mask, batch.counts) if rows.mask is None else rows
        return CaptionEncoding(
            embedding=CaptionEmbedding(l2_normalize(vector, dim=-1), caption_context(context, fused_first=True)),
            concepts=self._concepts(padded(vectors), padded(words), real),
            mask=batch.mask,
            context=context,
            counts=batch.counts,
        )

    def _concepts(self, vectors: Tensor, words: Tensor, rows: RealRows) -> Tensor | None:
        """(B, W, D) of unit length, from (B, W, E) word vectors and what the GRU was given, (B, W, …)."""
        if isinstance(self.concept, WordConvolution):
            return l2_normalize(rows.put(self.concept(rows.take(vectors), rows)), dim=-1)
        if self.concept is not None:
            return l2_normalize(rows.put(self.concept(rows.take(vectors))), dim=-1)
        return None if self.project is None else l2_normalize(words, dim=-1)


class Vsrn(TwoTower):
    """VSRN, with or without SelfAlign's towers.

    Args:
        region_width: F, read from the data.
        vocabulary_size: words of the vocabulary.
        width: D.
        word_width: width of the word table.
        final_norm, region_norm: see :class:`VsrnImageTower`.
        image_pooling: in place of the published GRU over regions.
        text_pooling, shortcut: see :class:`VsrnTextTower`.
        norm_axis: axis of the norms over regions.
        concepts: see :data:`Concepts`.
        padding, towers, context: see :class:`TwoTower`.
    """

    text_tower: VsrnTextTower

    def __init__(
        self,
        *,
        region_width: int,
        vocabulary_size: int,
        width: int = 2048,
        word_width: int = 300,
        final_norm: bool = True,
        region_norm: bool = False,
        image_pooling: Pooling | None = None,
        text_pooling: Pooling | None = None,
        shortcut: bool = False,
        norm_axis: NormAxis = "regions",
        concepts: Concepts = "shared",
        padding: Padding = "masked",
        towers: Towers = "selfalign",
        context: bool = True,
    ) -> None:
        super().__init__(padding=padding, towers=towers, context=context)
        require_one_of("norm_axis", norm_axis, NormAxis)
        require_one_of("concepts", concepts, Concepts)
        self.width = width
        self.image_tower = VsrnImageTower(
            region_width=region_width,
            width=width,
            final_norm=final_norm,
            region_norm=region_norm,
            context=context,
            pooling=image_pooling,
            norm_axis=norm_axis,
            concepts=concepts,
        )
        self.text_tower = VsrnTextTower(
            vocabulary_size=vocabulary_size,
            word_width=word_width,
            width=width,
            word_projection=towers == "selfalign",
            context=context,
            pooling=text_pooling,
            shortcut=shortcut,
            concepts=concepts,
        )
