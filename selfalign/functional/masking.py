"""Padded rows: zero them, leave them out of means."""

from __future__ import annotations

import torch
from torch import Tensor


def masked_fill_rows(values: Tensor, mask: Tensor | None) -> Tensor:
    """(B, n, D) ``values`` with zeros in the rows outside ``mask`` (B, n); ``None`` keeps all."""
    return values if mask is None else values.masked_fill(~mask[..., None], 0.0)


def real_rows(values: Tensor, mask: Tensor) -> Tensor:
    """(K, D): the rows of (B, n, D) ``values`` inside (B, n) ``mask``, as ``values[mask]`` but with a fast gradient."""
    return values.flatten(0, 1).index_select(0, _places(mask))


def padded_rows(rows: Tensor, mask: Tensor) -> Tensor:
    """(B, n, D): the (K, D) ``rows`` put inside ``mask`` (B, n), in order, and zeros outside."""
    padded = torch.index_copy(rows.new_zeros(mask.numel(), rows.shape[-1]), 0, _places(mask), rows)
    return padded.view(*mask.shape, -1)


def _places(mask: Tensor) -> Tensor:
    return mask.flatten().nonzero()[:, 0]


def masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """(B, D) mean of (B, n, D) ``values`` over the rows inside ``mask`` (B, n); ``None`` counts all."""
    if mask is None:
        return values.mean(dim=1)
    return masked_fill_rows(values, mask).sum(dim=1) / mask.sum(dim=1, keepdim=True).to(values.dtype)
