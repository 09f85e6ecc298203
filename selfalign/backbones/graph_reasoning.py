"""VSRN's residual graph block: regions exchange features over a fully connected graph."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from selfalign.backbones.batch_norm import BatchNorm, LinearBeforeNorm
from selfalign.functional.masking import RealRows


class GraphReasoning(nn.Module):
    """``BN(W(A g(x))) + x`` with the affinity ``A = θ(x)ᵀ φ(x) / R`` (METHOD section 2).

    The published 1×1 convolutions are linear maps of the feature axis and are written as such. The BatchNorm
    starts at weight 0, so that the block starts as the identity.

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.message = nn.Linear(width, width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.output = LinearBeforeNorm(width, width)
        self.output_norm = BatchNorm(width)
        nn.init.zeros_(self.output_norm.weight)

    def forward(self, regions: Tensor, rows: RealRows | None = None) -> Tensor:
        """(B, R, D) → (B, R, D); regions outside ``rows`` are zeros before and after."""
        rows = RealRows(regions.shape[:2], None) if rows is None else rows
        update = self._merged if regions.shape[:-1].numel() > regions.shape[-1] else self._plain
        return rows.put(self.output_norm(rows.take(update(regions, rows)))) + regions

    def _plain(self, regions: Tensor, rows: RealRows) -> Tensor:
        affinity = _shared_out(self.query(regions) @ self.key(regions).mT, rows)  # (B, R, R)
        return self.output(affinity @ self.message(regions))

    def _merged(self, regions: Tensor, rows: RealRows) -> Tensor:
        """The same with two products of all regions and two of weights instead of four: less work where B·R > D.

        θ(x)ᵀ φ(x) is a quadratic form of x, and nothing stands between g and W.
        """
        query, key, message, output = self.query, self.key, self.message, self.output
        left = functional.linear(regions, key.weight.mT @ query.weight, query.bias @ key.weight)  # (B, R, D)
        constant = regions @ (key.bias @ query.weight) + query.bias @ key.bias  # (B, R)
        affinity = _shared_out(left @ regions.mT + constant[..., None], rows)  # (B, R, R)
        received = functional.linear(affinity @ regions, output.weight @ message.weight, output.bias)
        return received + affinity.sum(dim=-1, keepdim=True) * (output.weight @ message.bias)


def _shared_out(affinity: Tensor, rows: RealRows) -> Tensor:
    """(B, R, R) affinities over each image's number of regions, none with its padding."""
    if rows.mask is None:
        return affinity / rows.shape[1]
    return (affinity * rows.mask[:, None]) / rows.counts(affinity.device)[:, None, None]
