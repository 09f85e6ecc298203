"""The context head (METHOD section 5): a global feature, locals and their gated sum, for all four towers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from selfalign.backbones.batch_norm import BatchNorm, LinearBeforeNorm
from selfalign.functional.masking import RealRows
from selfalign.functional.normalize import l2_normalize
from selfalign.structures import ContextEncoding


class ContextHead(nn.Module):
    """Global ``c``, locals ``L`` and fused ``f`` from the local features of one modality.

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = LinearBeforeNorm(width, width)
        self.summary_norm = BatchNorm(width)
        self.local_norm = BatchNorm(width)
        self.gate = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, features: Tensor, rows: RealRows) -> ContextEncoding:
        """Encode (K, D) features, the ``rows`` that count of B samples."""
        average = rows.mean(features)  # (B, D)
        summary = torch.relu(self.summary_norm(self.project(average)))
        locals_ = l2_normalize(torch.relu(self.local_norm(features)), dim=-1)  # (K, D)
        gate = torch.sigmoid(self.gate(torch.cat([average, summary], dim=-1)))  # (B, 1)
        fused = gate * average + (1 - gate) * summary
        return ContextEncoding(
            summary=l2_normalize(summary, dim=-1),
            locals=rows.put(locals_),
            fused=l2_normalize(fused, dim=-1),
            mean_local=rows.mean(locals_),
            mask=rows.mask,
        )


def image_context(context: ContextEncoding | None, *, fused_first: bool = False) -> Tensor | None:
    """(B, 2·D) ``½ [mean L ; f]``, the image's half of the context product; the other order for ``fused_first``."""
    if context is None:
        return None
    parts = (context.fused, context.mean_local) if fused_first else (context.mean_local, context.fused)
    return 0.5 * torch.cat(parts, dim=-1)


def caption_context(context: ContextEncoding | None, *, fused_first: bool = False) -> Tensor | None:
    """(B, 2·D) ``[f ; mean L]``, the caption's half; ``fused_first`` is that of the image's side."""
    if context is None:
        return None
    parts = (context.mean_local, context.fused) if fused_first else (context.fused, context.mean_local)
    return torch.cat(parts, dim=-1)
