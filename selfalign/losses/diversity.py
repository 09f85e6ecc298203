"""CAMERA's diversity term: the views of an image are to look at different regions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from selfalign.functional.normalize import l2_normalize


def diversity_loss(region_weights: Tensor) -> Tensor:
    """``‖ŜᵀŜ − I‖²_F`` summed over the batch, columns of S of unit length over regions (METHOD section 3).

    Args:
        region_weights: (B, R, V), scores S before their softmax.

    Example:
        >>> diversity_loss(torch.eye(3)[None])  # three views of three regions
        tensor(0.)
        >>> diversity_loss(torch.ones(1, 3, 2))  # two views that look at the same
        tensor(2.0000)
    """
    columns = l2_normalize(region_weights, dim=1)
    gram = columns.mT @ columns  # (B, V, V)
    return (gram - torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)).square().sum()


class DiversityLoss(nn.Module):
    """See :func:`diversity_loss`."""

    reduction = "sum"

    def forward(self, region_weights: Tensor) -> Tensor:
        """Loss of (B, R, V) scores."""
        return diversity_loss(region_weights)
