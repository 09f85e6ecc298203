"""Context alignment: a global feature of one modality is to find the locals of its pair in the other."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from selfalign.structures import ContextEncoding


def context_contrast(
    queries: Tensor, locals_: Tensor, mask: Tensor | None, *, temperature: float = 0.7, negatives: int = 512
) -> Tensor:
    """One direction of context alignment, the authors' CRA (METHOD section 6).

    Every local of the paired sample is a positive with a term of its own; the negatives depend on the query only,
    so they are picked once a query.

    Args:
        queries: (B, D), unit length.
        locals_: (B, n, D), unit length.
        mask: (B, n) bool, locals that count; ``None`` for all.
        temperature: 0.7 as published.
        negatives: hardest locals of other samples for each query, 512 as published; all where there are fewer.

    Returns:
        a scalar: mean over each sample's positives, then over the samples; 0 for one sample, which has no negatives.

    Example:
        >>> queries = torch.eye(2)
        >>> context_contrast(queries, queries[:, None], mask=None, temperature=0.1) < 1e-4  # each finds its own
        tensor(True)
    """
    size, count, _ = locals_.shape
    if size == 1:
        return queries.sum() * 0.0
    with torch.autocast(queries.device.type, enabled=False):
        if queries.dtype in (torch.float16, torch.bfloat16):
            queries, locals_ = queries.float(), locals_.float()
        scores = queries @ locals_.flatten(0, 1).mT / temperature  # (B, B·n)
        scores = scores.view(size, size, count)
        own = torch.eye(size, dtype=torch.bool, device=scores.device)
        positive = scores.diagonal(dim1=0, dim2=1).mT.contiguous()  # (B, n)
        counts = torch.ones_like(positive, dtype=torch.bool) if mask is None else mask
        others = scores.masked_fill(own[..., None] | ~counts[None], -torch.inf).flatten(1)  # (B, B·n)
        hardest = others.topk(min(negatives, (size - 1) * count), dim=1).values
        rest = torch.logsumexp(hardest, dim=1, keepdim=True)  # (B, 1)
        terms = torch.nn.functional.softplus(rest - positive).masked_fill(~counts, 0.0)  # (B, n)
        return (terms.sum(dim=1) / counts.sum(dim=1)).mean()


def context_alignment(
    image: ContextEncoding, caption: ContextEncoding, *, temperature: float = 0.7, negatives: int = 512
) -> Tensor:
    """Both directions of :func:`context_contrast`, half each: image → words and caption → regions."""
    return 0.5 * context_contrast(
        image.summary, caption.locals, caption.mask, temperature=temperature, negatives=negatives
    ) + 0.5 * context_contrast(caption.summary, image.locals, image.mask, temperature=temperature, negatives=negatives)


class ContextAlignmentLoss(nn.Module):
    """See :func:`context_alignment`."""

    def __init__(self, temperature: float = 0.7, negatives: int = 512) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature: expected a positive number, got {temperature}")
        if negatives < 1:
            raise ValueError(f"negatives: expected at least 1, got {negatives}")
        self.temperature = temperature
        self.negatives = negatives

    def forward(self, image: ContextEncoding, caption: ContextEncoding) -> Tensor:
        """Loss of B pairs, encoded by the two context heads."""
        return context_alignment(image, caption, temperature=self.temperature, negatives=self.negatives)
