"""Size augmentation (VSE∞; METHOD section 9.4): a training step sees some of the regions, and changed words."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from selfalign.functional.masking import inner_words

_HIDDEN, _REPLACED = 0.5, 0.1
"""Shares of the changed words that a mask and a random word stand for; the others are deleted."""


def some_regions(images: int, regions: int, dropped: float, device: torch.device | None = None) -> Tensor:
    """(B, K) int64, increasing: a random choice of each image's regions, the same number for all.

    VSE∞ drops each region by itself; a fixed number keeps the batch dense, and its step as much cheaper.

    Args:
        images, regions: B and R.
        dropped: share of the regions that are left out; at least one stays.
        device: of the result.

    Example:
        >>> some_regions(2, 10, 0.2).shape
        torch.Size([2, 8])
    """
    kept = _kept(regions, dropped)
    return torch.rand(images, regions, device=device).topk(kept, dim=1).indices.sort(dim=1).values


def _kept(regions: int, dropped: float) -> int:
    return max(1, math.ceil(regions * (1 - dropped) - 1e-9))


def some_real_regions(mask: Tensor, dropped: float) -> tuple[Tensor, Tensor]:
    """:func:`some_regions` of images with different numbers of regions: each keeps its share of its own.

    Args:
        mask: (B, R) bool, real regions.
        dropped: share of an image's regions that are left out; at least one stays.

    Returns:
        places (B, K) int64, increasing, and the mask (B, K) of those that are real, the first ones of each image.

    Example:
        >>> some_real_regions(torch.tensor([[True, True, False, False]]), 0.5)[1]
        tensor([[ True, False]])
    """
    regions = mask.shape[1]
    own = (mask.sum(dim=1) * (1 - dropped) - 1e-9).ceil().clamp_min(1)  # (B,)
    kept = _kept(regions, dropped)
    real = torch.arange(kept, device=mask.device) < own[:, None]
    draws = torch.rand(mask.shape, device=mask.device).masked_fill(~mask, -1.0)
    places = draws.topk(kept, dim=1).indices.masked_fill(~real, regions)
    return places.sort(dim=1).values.clamp_max(regions - 1), real


def changed_words(
    tokens: Tensor, lengths: Tensor, changed: float, *, hidden_id: int, vocabulary_size: int, pad_id: int
) -> tuple[Tensor, Tensor]:
    """Captions whose words were changed with a probability: hidden (half of these), replaced (a tenth), or deleted.

    The first and the last token, which are special, stay, and so do the words of a caption that would lose all.

    Args:
        tokens: (B, W) int64, padded at the end.
        lengths: (B,) int64.
        changed: probability.
        hidden_id: stands for a hidden word.
        vocabulary_size: random words are drawn below it.
        pad_id: fills the end.

    Returns:
        tokens (B, W) and lengths (B,).

    Example:
        >>> tokens, lengths = torch.tensor([[1, 7, 8, 2, 0]]), torch.tensor([4])
        >>> changed_words(tokens, lengths, 0.0, hidden_id=3, vocabulary_size=9, pad_id=0)[0]
        tensor([[1, 7, 8, 2, 0]])
    """
    places = torch.arange(tokens.shape[1], device=tokens.device)
    real = places < lengths[:, None]
    words = inner_words(real)
    draw = torch.rand(tokens.shape, device=tokens.device)
    hidden = words & (draw < changed * _HIDDEN)
    replaced = words & ~hidden & (draw < changed * (_HIDDEN + _REPLACED))
    deleted = words & ~hidden & ~replaced & (draw < changed)
    deleted &= (words & ~deleted).any(dim=1, keepdim=True)
    tokens = torch.where(hidden, hidden_id, tokens)
    tokens = torch.where(replaced, torch.randint_like(tokens, vocabulary_size), tokens)
    gone = deleted | ~real
    lengths = lengths - deleted.sum(dim=1)
    tokens = tokens.gather(1, gone.to(torch.int8).argsort(dim=1, stable=True))
    return torch.where(places < lengths[:, None], tokens, pad_id), lengths
