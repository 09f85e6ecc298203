"""What a tower needs of a pooling."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

from torch import Tensor, nn

from selfalign.functional.masking import RealRows


class Pooling(nn.Module, ABC):
    """Regions or words of B samples → one vector each, in any order of a sample's elements."""

    @classmethod
    def of_width(cls, width: int) -> Self:
        """The pooling of vectors of ``width``; those with parameters for each feature need to know."""
        return cls()

    @abstractmethod
    def forward(self, features: Tensor, rows: RealRows) -> Tensor:
        """(B, D) from the (K, D) ``features`` of the ``rows`` that count, one or more of each sample."""
