"""Sinkhorn-Knopp: scores → balanced soft assignments."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def _alone(values: Tensor) -> Tensor:
    return values


@torch.no_grad()
def sinkhorn(
    scores: Tensor,
    *,
    temperature: float = 0.05,
    iterations: int = 2,
    reduce_sum: Callable[[Tensor], Tensor] = _alone,
    reduce_max: Callable[[Tensor], Tensor] = _alone,
) -> Tensor:
    """Assignments of K samples to P prototypes that use the prototypes evenly (METHOD section 6).

    ``exp(scores / temperature)`` overflows in half precision; the result does not change when the largest score is
    subtracted first, and it is computed in fp32 at least.

    Args:
        scores: (K, P) similarities.
        temperature: 0.05 as published.
        iterations: each one scales prototypes to equal mass, then samples; 2 as published.
        reduce_sum: sum over processes that hold other samples; the identity for one process.
        reduce_max: maximum over those processes.

    Returns:
        (K, P) assignments without gradient; each row sums to 1.
    """
    with torch.autocast(scores.device.type, enabled=False):
        scores = scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores
        logits = scores / temperature
        mass = torch.exp(logits - reduce_max(logits.max()))
        for _ in range(iterations):
            mass = mass / _positive(reduce_sum(mass.sum(dim=0, keepdim=True)))
            mass = mass / _positive(mass.sum(dim=1, keepdim=True))
        return mass


def _positive(total: Tensor) -> Tensor:
    """A prototype that every sample is far from underflows to mass 0; it stays 0 instead of becoming NaN."""
    return total.clamp_min(torch.finfo(total.dtype).tiny)
