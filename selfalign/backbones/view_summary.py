"""CAMERA's multi-view summarisation: V embeddings of an image from its regions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from selfalign.functional.normalize import l2_normalize


class _Convolution(NamedTuple):
    channels: int
    kernel: int
    dilation: int


_CONVOLUTIONS = (
    _Convolution(256, 1, 1),
    _Convolution(128, 3, 1),
    _Convolution(128, 3, 2),
    _Convolution(128, 3, 3),
    _Convolution(128, 5, 1),
    _Convolution(128, 5, 2),
    _Convolution(128, 5, 3),
)


class ViewSummary(nn.Module):
    """Scores of every region for every view, from dilated convolutions over the regions (METHOD section 3).

    Args:
        width: D.
        views: V, 12 as published.
    """

    def __init__(self, width: int, views: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, conv.channels, conv.kernel, dilation=conv.dilation, padding="same")
            for conv in _CONVOLUTIONS
        )
        self.score = nn.Linear(sum(conv.channels for conv in _CONVOLUTIONS), views)

    def forward(self, regions: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Views (B, V, D) of unit length, and the scores S (B, R, V) that made them, from (B, R, D) regions.

        Regions outside (B, R) ``mask`` are zeros, as beside an image, and so are their scores.
        """
        channels_first = regions.mT.contiguous()  # (B, D, R)
        features = torch.cat([torch.relu(conv(channels_first)) for conv in self.convolutions], dim=1)
        scores = self.score(features.mT)  # (B, R, V)
        logits = scores if mask is None else scores.masked_fill(~mask[..., None], -torch.inf)
        views = torch.softmax(logits, dim=1).mT @ regions  # (B, V, D)
        return l2_normalize(views, dim=-1), scores if mask is None else scores * mask[..., None]
