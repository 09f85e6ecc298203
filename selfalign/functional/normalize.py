"""L2 normalisation with the axis said out loud."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

NormAxis = Literal["regions", "features", "none"]

_ZERO = 1e-12


def l2_normalize(values: Tensor, *, dim: int) -> Tensor:
    """``values`` divided by their Euclidean norm along ``dim``; vectors shorter than 1e-12 become zero, gradient too.

    Both base networks normalise (B, R, D) tensors over ``dim=1``, that is over regions or words ("norm_R" in the
    shape comments); published results depend on it. The usual feature axis is ``dim=-1``.

    Example:
        >>> l2_normalize(torch.tensor([3.0, 4.0]), dim=-1)
        tensor([0.6000, 0.8000])
    """
    squared = values.square().sum(dim=dim, keepdim=True)
    return values / squared.masked_fill(squared <= _ZERO**2, torch.inf).sqrt()


def normalize_along(values: Tensor, axis: NormAxis) -> Tensor:
    """(B, n, D) ``values`` of unit length ``"regions"``: over the n regions or words, as published; ``"features"``:
    over D; ``"none"``: as they are.
    """
    if axis == "none":
        return values
    return l2_normalize(values, dim=1 if axis == "regions" else -1)
