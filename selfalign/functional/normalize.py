"""L2 normalisation with the axis said out loud."""

from __future__ import annotations

from torch import Tensor

_EPSILON = 1e-12


def l2_normalize(values: Tensor, *, dim: int) -> Tensor:
    """``values`` divided by their Euclidean norm along ``dim``; zero vectors stay zero, with zero gradient.

    Both base networks normalise (B, R, D) tensors over ``dim=1``, that is over regions or words ("norm_R" in the
    shape comments); published results depend on it. The usual feature axis is ``dim=-1``.
    """
    squared = values.square().sum(dim=dim, keepdim=True)
    # The root's gradient at 0 is infinite: clamp before it, not after.
    return values / squared.clamp_min(_EPSILON**2).sqrt()
