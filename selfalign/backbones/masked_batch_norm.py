"""BatchNorm over real rows only."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MaskedBatchNorm(nn.BatchNorm1d):
    """``nn.BatchNorm1d`` over the rows of (B, n, D) that count; parameters and buffers keep their names."""

    def forward(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalise (B, n, D) ``inputs`` with statistics of the rows in ``mask`` (B, n); the others become zero."""
        if mask is None:
            return super().forward(inputs.flatten(0, 1)).view_as(inputs)
        normed = super().forward(inputs[mask])  # (rows, D)
        return torch.zeros_like(inputs, dtype=normed.dtype).masked_scatter(mask[..., None], normed)
