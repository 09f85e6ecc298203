"""VSRN (METHOD section 2): graph reasoning over regions and a GRU in both towers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from selfalign.backbones.base import Padding, Towers, TwoTower
from selfalign.backbones.batch_norm import BatchNorm
from selfalign.backbones.context_head import ContextHead, caption_context, image_context
from selfalign.backbones.graph_reasoning import GraphReasoning
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

_GRAPH_BLOCKS = 4
_WORD_RANGE = 0.1


class VsrnImageTower(nn.Module):
    """Regions → graph reasoning → GRU over regions → one vector.

    Args:
        region_width: F.
        width: D.
        final_norm: BatchNorm on the last hidden state (Flickr30K's published setting).
        region_norm: ``norm_R`` after the projection (COCO's published setting).
        context: build the context head.
    """

    def __init__(self, *, region_width: int, width: int, final_norm: bool, region_norm: bool, context: bool) -> None:
        super().__init__()
        self.project = xavier_linear(region_width, width)
        self.region_norm = region_norm
        self.graph = nn.Sequential(*(GraphReasoning(width) for _ in range(_GRAPH_BLOCKS)))
        self.rnn = nn.GRU(width, width, batch_first=True)
        self.final_norm = BatchNorm(width) if final_norm else nn.Identity()
        self.context = ContextHead(width) if context else None

    def forward(self, batch: ImageBatch) -> ImageEncoding:
        regions = self.project(batch.regions.to(self.project.weight.dtype))  # (B, R, D)
        if self.region_norm:
            regions = l2_normalize(regions, dim=1)  # over regions, as published
        reasoned = self.graph(regions)
        graph = l2_normalize(reasoned, dim=1)
        _, last = self.rnn(graph)  # (1, B, D)
        vector = l2_normalize(self.final_norm(last[0]), dim=-1)
        rows = RealRows(reasoned.shape[:2], None)
        context = self.context(rows.take(reasoned), rows) if self.context is not None else None
        return ImageEncoding(
            embedding=ImageEmbedding(vector[:, None], image_context(context, fused_first=True)),
            concepts=l2_normalize(regions, dim=-1),
            context=context,
            graph=graph,
        )


class VsrnTextTower(nn.Module):
    """Words → GRU → its state at the last real word.

    Args:
        vocabulary_size: rows of the word table.
        word_width: width of the word table, 300 as published.
        width: D.
        word_projection: a linear map to D before the GRU (SelfAlign's tower).
        context: build the context head.
    """

    def __init__(
        self, *, vocabulary_size: int, word_width: int, width: int, word_projection: bool, context: bool
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, word_width)
        nn.init.uniform_(self.embedding.weight, -_WORD_RANGE, _WORD_RANGE)
        self.project = xavier_linear(word_width, width) if word_projection else None
        self.rnn = nn.GRU(width if word_projection else word_width, width, batch_first=True)
        self.context = ContextHead(width) if context else None

    def forward(self, batch: CaptionBatch, countable: Tensor | None) -> CaptionEncoding:
        """Encode captions; means and statistics see the words in ``countable`` (B, W), ``None`` for all."""
        tokens = batch.tokens
        places = nn.utils.rnn.pack_padded_sequence(
            torch.arange(tokens.numel(), device=tokens.device).view_as(tokens),
            batch.lengths.cpu(),
            batch_first=True,
            enforce_sorted=False,
        )  # of the K real words among B·W, in the order in which a packed GRU takes them

        def padded(rows: Tensor) -> Tensor:
            """(K, D) → (B, W, D), zeros at padding."""
            filled = torch.index_copy(rows.new_zeros(tokens.numel(), rows.shape[1]), 0, places.data, rows)
            return filled.view(*tokens.shape, -1)

        words = self.embedding(tokens.flatten()[places.data])  # (K, E)
        concepts = None
        if self.project is not None:
            words = self.project(words)
            concepts = padded(l2_normalize(words, dim=-1))
        states = padded(self.rnn(places._replace(data=words))[0].data)
        last = states[torch.arange(len(states), device=states.device), batch.lengths - 1]  # (B, D)
        rows = RealRows(tokens.shape, countable)
        context = self.context(rows.take(states), rows) if self.context is not None else None
        return CaptionEncoding(
            embedding=CaptionEmbedding(l2_normalize(last, dim=-1), caption_context(context, fused_first=True)),
            concepts=concepts,
            mask=batch.mask,
            context=context,
        )


class Vsrn(TwoTower):
    """VSRN, with or without SelfAlign's towers.

    Args:
        region_width: F, read from the data.
        vocabulary_size: words of the vocabulary.
        width: D.
        word_width: width of the word table.
        final_norm, region_norm: see :class:`VsrnImageTower`.
        padding, towers, context: see :class:`TwoTower`.
    """

    def __init__(
        self,
        *,
        region_width: int,
        vocabulary_size: int,
        width: int = 2048,
        word_width: int = 300,
        final_norm: bool = True,
        region_norm: bool = False,
        padding: Padding = "masked",
        towers: Towers = "selfalign",
        context: bool = True,
    ) -> None:
        super().__init__(padding=padding, towers=towers, context=context)
        self.width = width
        self.image_tower = VsrnImageTower(
            region_width=region_width,
            width=width,
            final_norm=final_norm,
            region_norm=region_norm,
            context=context,
        )
        self.text_tower = VsrnTextTower(
            vocabulary_size=vocabulary_size,
            word_width=word_width,
            width=width,
            word_projection=towers == "selfalign",
            context=context,
        )
