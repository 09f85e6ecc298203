"""Per-feature attention pooling (of ESA)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from selfalign.backbones.pooling.base import Pooling
from selfalign.functional.masking import RealRows
from selfalign.functional.precision import at_least_single


class AttentionPooling(Pooling):
    """``Σ w ⊙ f`` with ``w = softmax over a sample's elements of Linear(f)``, each feature's own (METHOD section 9.3).

    The map starts at zero, so that the pooling starts as the mean.

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, width)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    @classmethod
    def of_width(cls, width: int) -> AttentionPooling:
        """See :class:`Pooling`."""
        return cls(width)

    def forward(self, features: Tensor, rows: RealRows) -> Tensor:
        """See :class:`Pooling`."""
        scores = rows.put(at_least_single(self.score(features)), fill=-torch.inf)  # (B, n, D)
        return (torch.softmax(scores, dim=1) * rows.put(features)).sum(dim=1).to(features.dtype)
