"""VSRN's residual graph block: regions exchange features over a fully connected graph."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from selfalign.backbones.batch_norm import BatchNorm, LinearBeforeNorm


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

    def forward(self, regions: Tensor) -> Tensor:
        """(B, R, D) → (B, R, D)."""
        update = self._merged if regions.shape[:-1].numel() > regions.shape[-1] else self._plain
        return self.output_norm(update(regions)) + regions

    def _plain(self, regions: Tensor) -> Tensor:
        affinity = self.query(regions) @ self.key(regions).mT / regions.shape[1]  # (B, R, R)
        return self.output(affinity @ self.message(regions))

    def _merged(self, regions: Tensor) -> Tensor:
        """The same with two products of all regions and two of weights instead of four: less work where B·R > D.

        θ(x)ᵀ φ(x) is a quadratic form of x, and nothing stands between g and W.
        """
        query, key, message, output = self.query, self.key, self.message, self.output
        left = functional.linear(regions, key.weight.mT @ query.weight, query.bias @ key.weight)  # (B, R, D)
        constant = regions @ (key.bias @ query.weight) + query.bias @ key.bias  # (B, R)
        affinity = (left @ regions.mT + constant[..., None]) / regions.shape[1]  # (B, R, R)
        received = functional.linear(affinity @ regions, output.weight @ message.weight, output.bias)
        return received + affinity.sum(dim=-1, keepdim=True) * (output.weight @ message.bias)
