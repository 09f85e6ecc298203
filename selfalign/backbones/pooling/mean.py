"""Mean pooling."""

from __future__ import annotations

from torch import Tensor

from selfalign.backbones.pooling.base import Pooling
from selfalign.functional.masking import RealRows


class MeanPooling(Pooling):
    """The mean over a sample's elements."""

    def forward(self, features: Tensor, rows: RealRows) -> Tensor:
        """See :class:`Pooling`."""
        return rows.mean(features)
