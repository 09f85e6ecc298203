"""What is compared: ours, the authors' algorithm, and the bare matrix products that neither can avoid."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from selfalign.functional.attention import attention_by_products
from selfalign.functional.masking import inner_words
from selfalign.functional.normalize import l2_normalize
from selfalign.functional.ranks import TILE_CAPTIONS, TILE_IMAGES, embedding_tile, retrieval_ranks
from selfalign.losses.concept_alignment import ConceptAlignmentLoss
from selfalign.losses.context_alignment import context_contrast
from selfalign.losses.words import WordContrastLoss
from selfalign.processes.exchange import Processes
from selfalign.structures import CaptionEmbedding, ImageEmbedding
from tests.benchmarks import authors

Functions = dict[str, Callable[[], object]]
_LENGTHS = (8, 9, 10, 10, 11, 11, 11, 12, 12, 12, 13, 13, 13, 14, 14, 14, 15, 15, 15, 16, 16, 17, 17, 18, 18, 19, 20)
_LENGTHS += (21, 22, 24, 27, 32)
"""Words of Flickr30K captions with their two special ones: 32 quantiles of their distribution."""
_LONGEST = 40
"""The longest of 128 of them, on average."""


@dataclass(frozen=True)
class Size:
    """Of everything that is compared.

    Attributes:
        batch, regions, width, prototypes, views: B, R, D, P, V.
        images: of the gallery, five captions each.
        device, dtype: where and in which precision.
    """

    batch: int
    regions: int
    width: int
    prototypes: int
    views: int
    images: int
    device: torch.device
    dtype: torch.dtype

    def random(self, *shape: int, unit: bool = True) -> Tensor:
        values = torch.rand(*shape, device=self.device, dtype=self.dtype)
        return l2_normalize(values, dim=-1) if unit else values

    @property
    def lengths(self) -> Tensor:
        """(B,) words of the captions of a batch."""
        lengths = [_LENGTHS[row % len(_LENGTHS)] for row in range(self.batch - 1)]
        return torch.tensor([*lengths, _LONGEST], device=self.device)

    @property
    def mask(self) -> Tensor:
        """(B, W)"""
        return torch.arange(int(self.lengths.max()), device=self.device) < self.lengths[:, None]


_HEADS = 64


def attentions(size: Size, dtype: torch.dtype) -> Functions:
    """CAMERA's attention over regions, forward and backward, by torch's fused kernel and by products."""
    shape = (size.batch, _HEADS, size.regions, size.width // _HEADS)
    given = [torch.randn(shape, device=size.device, dtype=dtype).requires_grad_() for _ in range(3)]

    def both_ways(attended: Callable[..., Tensor]) -> Callable[[], object]:
        return lambda: torch.autograd.grad(attended(*given).sum(), given)

    return {
        "fused": both_ways(torch.nn.functional.scaled_dot_product_attention),
        "products": both_ways(partial(attention_by_products, mask=None)),
    }


def concept(size: Size) -> Functions:
    """Concept alignment, forward and backward."""
    loss = ConceptAlignmentLoss(size.width, size.prototypes).to(size.device, size.dtype)
    mask, lengths = size.mask, size.lengths.tolist()
    regions = size.random(size.batch, size.regions, size.width)
    words = size.random(*mask.shape, size.width).requires_grad_()

    def ours() -> None:
        loss(regions, words, mask).backward()
        words.grad = loss.prototypes.grad = None

    def theirs() -> None:
        prototypes = loss.prototypes
        with torch.no_grad():
            prototypes.copy_(l2_normalize(prototypes, dim=1))
        authors.concept_alignment(regions, words, lengths, prototypes).backward()
        words.grad = loss.prototypes.grad = None

    def bare() -> None:
        with torch.no_grad():
            regions.flatten(0, 1) @ loss.prototypes.T
            words @ regions.mT
            real = words[mask]
            logits = real @ loss.prototypes.T
            logits @ loss.prototypes
            logits.T @ real

    return {"ours": ours, "theirs": theirs, "bare": bare}


def context(size: Size) -> Functions:
    """Context alignment, both directions, forward and backward."""
    mask = size.mask
    every = torch.ones(size.batch, size.regions, dtype=torch.bool, device=size.device)
    image, caption = (size.random(size.batch, size.width).requires_grad_() for _ in range(2))
    regions = size.random(size.batch, size.regions, size.width).requires_grad_()
    words = size.random(*mask.shape, size.width).requires_grad_()
    leaves = (image, caption, regions, words)

    def clear() -> None:
        for leaf in leaves:
            leaf.grad = None

    def ours() -> None:
        (context_contrast(image, words, mask) + context_contrast(caption, regions, None)).backward()
        clear()

    def theirs() -> None:
        first = authors.context_alignment(image, words, mask)
        (first + authors.context_alignment(caption, regions, every)).backward()
        clear()

    def bare() -> None:
        with torch.no_grad():
            for query, keys in ((image, words.flatten(0, 1)), (caption, regions.flatten(0, 1))):
                scores = query @ keys.T
                scores @ keys
                scores.T @ query

    return {"ours": ours, "theirs": theirs, "bare": bare}


def words(size: Size) -> Functions:
    """Word-region contrast, forward and backward; nobody else's to compare with."""
    loss, mask, ids = WordContrastLoss(), size.mask, torch.arange(size.batch, device=size.device)
    regions = size.random(size.batch, size.regions, size.width).requires_grad_()
    pieces = size.random(*mask.shape, size.width).requires_grad_()

    def ours() -> None:
        loss(regions, pieces, mask, ids).backward()
        regions.grad = pieces.grad = None

    def bare() -> None:
        with torch.no_grad():
            real, flat = pieces[inner_words(mask)], regions.flatten(0, 1)  # without special tokens, as ours
            products = real @ flat.T
            products @ flat
            products.T @ real

    return {"ours": ours, "bare": bare}


def gallery(size: Size, images: int) -> tuple[ImageEmbedding, CaptionEmbedding, Tensor]:
    """Random embeddings of CAMERA + SelfAlign."""
    return (
        ImageEmbedding(size.random(images, size.views, size.width), size.random(images, 2 * size.width)),
        CaptionEmbedding(size.random(5 * images, size.width), size.random(5 * images, 2 * size.width)),
        torch.arange(5 * images, device=size.device) // 5,
    )


def scoring(size: Size, sample: int = 40) -> Functions:
    """Ranks of a gallery; the authors' loops are timed on ``sample`` captions and a fifth as many images."""
    image, caption, owners = gallery(size, size.images)
    images, captions = size.images, 5 * size.images
    repeated = image.context[:, None].expand(-1, size.views, -1)
    views = torch.cat([image.views, repeated], dim=2)  # (N, V, 3·D)
    vectors = torch.cat([caption.vector[:sample], caption.context[:sample]], dim=1)
    image_queries = np.random.default_rng(0).random((sample // 5, captions), np.float32)

    def ours() -> None:
        retrieval_ranks(embedding_tile(image, caption), owners, range(images), range(captions))

    def bare() -> None:
        for start in range(0, captions, TILE_CAPTIONS):
            part = slice(start, start + TILE_CAPTIONS)
            for first in range(0, images, TILE_IMAGES):
                rows = slice(first, first + TILE_IMAGES)
                image.views[rows].flatten(0, 1) @ caption.vector[part].T
                image.context[rows] @ caption.context[part].T

    def theirs() -> None:
        similarity = authors.multi_view_similarity(views, vectors).cpu().numpy()
        for scores in (*similarity.T, *image_queries):
            authors.order(scores)

    return {"ours": ours, "bare": bare, "theirs": theirs}


class _WithoutTheOthers(Processes):
    """One of several processes that share the tiles of a gallery, when nobody computes the other shares."""

    def sum(self, values: Tensor) -> Tensor:
        return values

    def max(self, values: Tensor) -> Tensor:
        return values


def queries(size: Size, images: int) -> Callable[[], object]:
    """The captions of the first column of tiles ranked among ``images``, with embeddings of VSRN + SelfAlign."""
    image = ImageEmbedding(size.random(images, 1, size.width), size.random(images, 2 * size.width))
    caption = CaptionEmbedding(size.random(TILE_CAPTIONS, size.width), size.random(TILE_CAPTIONS, 2 * size.width))
    owners = torch.arange(5 * images) // 5
    share = _WithoutTheOthers(0, math.ceil(len(owners) / TILE_CAPTIONS))

    def ours() -> None:
        retrieval_ranks(embedding_tile(image, caption), owners, range(images), range(len(owners)), share)

    return ours
