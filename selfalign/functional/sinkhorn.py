"""Sinkhorn-Knopp: scores → balanced soft assignments."""

from __future__ import annotations

import torch
from torch import Tensor

from selfalign.processes.exchange import ALONE, Processes


@torch.no_grad()
def sinkhorn(
    scores: Tensor,
    *,
    temperature: float = 0.05,
    iterations: int = 2,
    processes: Processes = ALONE,
) -> Tensor:
    """Assignments of K samples to P prototypes that use the prototypes evenly (METHOD section 6).

    ``exp(scores / temperature)`` overflows in half precision; the result does not change when the largest score is
    subtracted first, and it is computed in fp32 at least.

    Args:
        scores: (K, P) similarities.
        temperature: 0.05 as published.
        iterations: each one scales prototypes to equal mass, then samples; 2 as published.
        processes: all of which call this with samples of their own; the assignments are those of all samples at once.

    Returns:
        (K, P) assignments without gradient; each row sums to 1.

    Example:
        >>> sinkhorn(torch.tensor([[1.0, 0.0], [0.9, 0.0]]), temperature=1.0, iterations=50).sum(dim=0)  # evenly used
        tensor([1., 1.])
    """
    with torch.autocast(scores.device.type, enabled=False):
        scores = scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores
        mass = scores - processes.max(scores.max())
        mass.div_(temperature).exp_()
        for _ in range(iterations):
            mass.div_(_positive(processes.sum(mass.sum(dim=0, keepdim=True))))
            mass.div_(_positive(mass.sum(dim=1, keepdim=True)))
        return mass


def _positive(total: Tensor) -> Tensor:
    """A prototype that every sample is far from underflows to mass 0; it stays 0 instead of becoming NaN."""
    return total.clamp_min(torch.finfo(total.dtype).tiny)
