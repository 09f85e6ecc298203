"""CAMERA's gated self-attention over regions or words."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from selfalign.backbones.batch_norm import BatchNorm, LinearBeforeNorm
from selfalign.functional.attention import attention
from selfalign.functional.masking import RealRows


class GatedSelfAttention(nn.Module):
    """One layer of multi-head attention whose queries and keys gate each other (METHOD section 3).

    Args:
        width: D, a multiple of ``heads``.
        heads: number of heads, 64 as published.
        dropout: probability, on the layer's output.
        zero_start: the BatchNorm starts at weight 0, so that the layer starts as its residual alone.
    """

    def __init__(self, width: int, heads: int, dropout: float, *, zero_start: bool = False) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"heads: expected a divisor of the width {width}, got {heads}")
        self.heads = heads
        head_width = width // heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = LinearBeforeNorm(width, width)
        self.gate_query = nn.Linear(head_width, head_width)
        self.gate_key = nn.Linear(head_width, head_width)
        self.gate = nn.Linear(head_width, 2 * head_width)
        self.norm = BatchNorm(width)
        if zero_start:
            nn.init.zeros_(self.norm.weight)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor, residual: Tensor, rows: RealRows) -> Tensor:
        """Attend over (K, D) ``inputs``, the ``rows`` that count, each sample's among themselves; add ``residual``."""
        query, key, value = self.query(inputs), self.key(inputs), self.value(inputs)
        if torch.is_grad_enabled():
            # What lies in between is made again in the backward pass: a quarter of the memory of a training step
            # against a few percent of its time.
            attended = checkpoint(self._attend, query, key, value, rows, use_reentrant=False, preserve_rng_state=False)
        else:
            attended = self._attend(query, key, value, rows)
        return self.dropout(self.norm(attended)) + residual

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, rows: RealRows) -> Tensor:
        """Gate queries and keys, attend: (K, D) each → (K, D)."""
        query, key, value = (values.unflatten(-1, (self.heads, -1)) for values in (query, key, value))  # (K, heads, d)
        gates = torch.sigmoid(self.gate(self.gate_query(query) * self.gate_key(key)))  # (K, heads, 2·d)
        query_gate, key_gate = gates.chunk(2, dim=-1)

        def by_head(values: Tensor) -> Tensor:
            """(K, heads, d) → (B, heads, n, d)."""
            return rows.put(values.flatten(1)).unflatten(-1, (self.heads, -1)).transpose(1, 2)

        mask = None if rows.mask is None else rows.mask[:, None, None, :]
        attended = attention(by_head(query * query_gate), by_head(key * key_gate), by_head(value), mask)
        return rows.take(attended.transpose(1, 2).flatten(2))
