"""Attention of every head among the elements of a sample."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

_HALF = (torch.bfloat16, torch.float16)


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """``softmax(q kᵀ / √d) v``, by torch's fused kernel or by products, whichever is faster.

    That is the kernel, but for half precision on a CPU, where its backward pass takes several times as long
    (``python -m tests.benchmarks attention``).

    Args:
        query, key, value: (B, heads, n, d).
        mask: (B, 1, 1, n) bool, keys that count, at least one of each sample; ``None`` for all.

    Returns:
        (B, heads, n, d).
    """
    if query.device.type == "cpu" and query.dtype in _HALF:
        return attention_by_products(query, key, value, mask)
    return scaled_dot_product_attention(query, key, value, attn_mask=mask)


def attention_by_products(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """As :func:`attention`, by the products that its formula says."""
    scores = (query * query.shape[-1] ** -0.5) @ key.mT  # (B, heads, n, n)
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return torch.softmax(scores, dim=-1) @ value
