"""Padded rows: zero them, leave them out of means."""

from __future__ import annotations

from torch import Tensor


def masked_fill_rows(values: Tensor, mask: Tensor | None) -> Tensor:
    """(B, n, D) ``values`` with zeros in the rows outside ``mask`` (B, n); ``None`` keeps all."""
    return values if mask is None else values.masked_fill(~mask[..., None], 0.0)


def masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """(B, D) mean of (B, n, D) ``values`` over the rows inside ``mask`` (B, n); ``None`` counts all."""
    if mask is None:
        return values.mean(dim=1)
    return masked_fill_rows(values, mask).sum(dim=1) / mask.sum(dim=1, keepdim=True).to(values.dtype)
