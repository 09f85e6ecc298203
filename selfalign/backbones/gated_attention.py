"""CAMERA's gated self-attention over regions or words."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from selfalign.backbones.batch_norm import BatchNorm


class GatedSelfAttention(nn.Module):
    """One layer of multi-head attention whose queries and keys gate each other (METHOD section 3).

    Args:
        width: D, a multiple of ``heads``.
        heads: number of heads, 64 as published.
        dropout: probability, on the layer's output.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"heads: expected a divisor of the width {width}, got {heads}")
        self.heads = heads
        head_width = width // heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.gate_query = nn.Linear(head_width, head_width)
        self.gate_key = nn.Linear(head_width, head_width)
        self.gate = nn.Linear(head_width, 2 * head_width)
        self.norm = BatchNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor, residual: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend over (B, n, D) ``inputs`` and add ``residual`` (B, n, D); keys outside ``mask`` (B, n) are unseen."""
        query, key, value = (
            project(inputs).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, n, d)
            for project in (self.query, self.key, self.value)
        )
        gates = torch.sigmoid(self.gate(self.gate_query(query) * self.gate_key(key)))  # (B, heads, n, 2·d)
        query_gate, key_gate = gates.chunk(2, dim=-1)
        attended = nn.functional.scaled_dot_product_attention(
            query * query_gate,
            key * key_gate,
            value,
            attn_mask=None if mask is None else mask[:, None, None, :],
        )
        attended = attended.transpose(1, 2).flatten(2)  # (B, n, D)
        return self.dropout(self.norm(attended, mask)) + residual
