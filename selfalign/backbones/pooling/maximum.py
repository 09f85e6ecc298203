"""Max pooling."""

from __future__ import annotations

import torch
from torch import Tensor

from selfalign.backbones.pooling.base import Pooling
from selfalign.functional.masking import RealRows


class MaxPooling(Pooling):
    """Of every feature, the largest value among a sample's elements."""

    def forward(self, features: Tensor, rows: RealRows) -> Tensor:
        """See :class:`Pooling`."""
        return rows.put(features, fill=-torch.inf).amax(dim=1)
