"""The start of the first projections."""

from __future__ import annotations

from torch import nn


def xavier_linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear map with Xavier-uniform weight and zero bias (METHOD sections 2 and 4)."""
    linear = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
