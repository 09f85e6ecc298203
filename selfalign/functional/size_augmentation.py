"""Size augmentation (VSE∞; METHOD section 9.4): a training step sees some of the regions, and changed words."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from selfalign.functional.masking import inner_words
from selfalign.functional.sending import sent

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


def some_real_regions(mask: Tensor, counts: Tensor, dropped: float) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`some_regions` of images with different numbers of regions: each keeps its share of its own.

    Args:
        mask: (B, R) bool, real regions.
        counts: (B,) int64 on the host, how many.
        dropped: share of an image's regions that are left out; at least one stays.

    Returns:
        places (B, K) int64, increasing; the mask (B, K) of those that are real, the first ones of each image; how
        many, (B,) on the host.

    Example:
        >>> some_real_regions(torch.tensor([[True, True, False, False]]), torch.tensor([2]), 0.5)[1]
        tensor([[ True, False]])
    """
    regions = mask.shape[1]
    own = (counts * (1 - dropped) - 1e-9).ceil().clamp_min(1).long()  # (B,)
    kept = _kept(regions, dropped)
    real = torch.arange(kept, device=mask.device) < sent(own, mask.device)[:, None]
    draws = torch.rand(mask.shape, device=mask.device).masked_fill(~mask, -1.0)
    places = draws.topk(kept, dim=1).indices.masked_fill(~real, regions)
    return places.sort(dim=1).values.clamp_max(regions - 1), real, own


def changed_words(
    tokens: Tensor, lengths: Tensor, changed: float, *, hidden_id: int, vocabulary_size: int, pad_id: int
) -> tuple[Tensor, Tensor]:
    """Captions whose words were changed with a probability: hidden (half of these), replaced (a tenth), or deleted.

    The first and the last token, which are special, stay, and so do the words of a caption that would lose all.
    What happens to which word is drawn on the host, which then knows the new lengths and asks no GPU for them.

    Args:
        tokens: (B, W) int64, padded at the end.
        lengths: (B,) int64, on the host.
        changed: probability.
        hidden_id: stands for a hidden word.
        vocabulary_size: random words are drawn below it.
        pad_id: fills the end.

    Returns:
        tokens (B, W), and lengths (B,) on the host.

    Example:
        >>> tokens, lengths = torch.tensor([[1, 7, 8, 2, 0]]), torch.tensor([4])
        >>> changed_words(tokens, lengths, 0.0, hidden_id=3, vocabulary_size=9, pad_id=0)[0]
        tensor([[1, 7, 8, 2, 0]])
    """
    places = torch.arange(tokens.shape[1])
    real = places < lengths[:, None]
    words = inner_words(real)
    draw = torch.rand(tokens.shape)
    hidden = words & (draw < changed * _HIDDEN)
    replaced = words & ~hidden & (draw < changed * (_HIDDEN + _REPLACED))
    deleted = words & ~hidden & ~replaced & (draw < changed)
    deleted &= (words & ~deleted).any(dim=1, keepdim=True)
    others = torch.randint(vocabulary_size, tokens.shape)
    order = (deleted | ~real).to(torch.int8).argsort(dim=1, stable=True)
    lengths = lengths - deleted.sum(dim=1)
    instead = torch.where(hidden, hidden_id, torch.where(replaced, others, -1)).gather(1, order)  # −1: the word itself
    instead = instead.masked_fill(places >= lengths[:, None], pad_id)
    order, instead = sent(order, tokens.device), sent(instead, tokens.device)
    return torch.where(instead < 0, tokens.gather(1, order), instead), lengths
