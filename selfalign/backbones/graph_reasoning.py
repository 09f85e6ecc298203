"""VSRN's residual graph block: regions exchange features over a fully connected graph."""

from __future__ import annotations

from torch import Tensor, nn

from selfalign.backbones.batch_norm import BatchNorm


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
        self.output = nn.Linear(width, width)
        self.output_norm = BatchNorm(width)
        nn.init.zeros_(self.output_norm.weight)

    def forward(self, regions: Tensor) -> Tensor:
        """(B, R, D) → (B, R, D)."""
        affinity = self.query(regions) @ self.key(regions).mT / regions.shape[1]  # (B, R, R)
        return self.output_norm(self.output(affinity @ self.message(regions))) + regions
