"""VSRN's captioning loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from selfalign.functional.masking import RealRows
from selfalign.losses.caption_decoder import RegionCaptioner

_PAD = 0


def captioning_targets(
    tokens: Tensor, lengths: Tensor, maximum_length: int = 60, longest: int | None = None
) -> tuple[Tensor, Tensor]:
    """Targets of the captioner: ``<start> w… <end>`` cut to ``maximum_length``, trimmed to the batch's longest.

    Args:
        tokens: (B, W) token ids, padded.
        lengths: (B,) real tokens.
        maximum_length: 60 as published.
        longest: of the lengths; without it they are asked, for which the host waits where they are on a GPU.

    Returns:
        (B, T + 1) token ids, padded with 0, and the mask (B, T + 1) of the tokens that count: the real ones and one
        pad after them, where there is room for it.

    Example:
        >>> targets, mask = captioning_targets(torch.tensor([[1, 7, 2], [1, 2, 0]]), torch.tensor([3, 2]))
        >>> targets
        tensor([[1, 7, 2, 0],
                [1, 2, 0, 0]])
        >>> mask
        tensor([[ True,  True,  True,  True],
                [ True,  True,  True, False]])
    """
    if maximum_length < 2:
        raise ValueError(f"maximum_length: expected at least 2 tokens, got {maximum_length}")
    width = min((int(lengths.max()) if longest is None else longest) + 1, maximum_length)
    targets = torch.nn.functional.pad(tokens, (0, max(0, width - tokens.shape[1])), value=_PAD)[:, :width]
    positions = torch.arange(width, device=tokens.device)
    real = positions < lengths[:, None]
    return targets.masked_fill(~real, _PAD), positions <= lengths[:, None]


def captioning_loss(logits: Tensor, targets: Tensor, mask: Tensor, counts: Tensor | None = None) -> Tensor:
    """Negative log-likelihood of every counted token, summed, divided by B (METHOD section 2).

    Args:
        logits: (K, vocabulary), predictions of the K tokens of ``targets[:, 1:]`` that count, in order.
        targets: (B, T + 1) token ids.
        mask: (B, T + 1) bool, tokens that count.
        counts: (B,) of those of ``targets[:, 1:]``, on the host, see :class:`RealRows`.

    Example:
        >>> targets, mask = torch.tensor([[1, 2, 0]]), torch.tensor([[True, True, False]])
        >>> captioning_loss(torch.zeros(1, 4), targets, mask)  # log of four equally likely words
        tensor(1.3863)
    """
    with torch.autocast(logits.device.type, enabled=False):
        logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
        wanted = RealRows(mask[:, 1:].shape, mask[:, 1:], counts).take(targets[:, 1:])  # (K,)
        return torch.nn.functional.cross_entropy(logits, wanted, reduction="sum") / len(targets)


class CaptioningLoss(RegionCaptioner):
    """The captioner with its loss: each caption is to be written from the regions of its image.

    Args:
        width, vocabulary_size: see :class:`RegionCaptioner`.
        maximum_length: see :func:`captioning_targets`.
        others: of :class:`RegionCaptioner`.
    """

    reduction = "mean"

    def __init__(self, width: int, vocabulary_size: int, *, maximum_length: int = 60, **others: Any) -> None:
        super().__init__(width, vocabulary_size, **others)
        self.maximum_length = maximum_length

    def forward(
        self,
        graph: Tensor,
        tokens: Tensor,
        lengths: Tensor,
        region_mask: Tensor | None = None,
        counts: Tensor | None = None,
        region_counts: Tensor | None = None,
    ) -> Tensor:
        """Loss of B pairs.

        Args:
            graph: (B, R, D), ``norm_R`` of the graph output.
            tokens: (B, W) token ids, padded.
            lengths: (B,) real tokens.
            region_mask: (B, R) bool, real regions; ``None`` for all.
            counts, region_counts: (B,) the lengths, and those of the mask, on the host, see :class:`RealRows`.
        """
        longest = None if counts is None else max(counts.tolist())
        targets, mask = captioning_targets(tokens, lengths, self.maximum_length, longest)
        wanted = None if counts is None else counts.clamp_max(targets.shape[1] - 1)
        logits = self.logits(graph, targets[:, :-1], mask[:, 1:], region_mask, wanted, region_counts)
        return captioning_loss(logits, targets, mask, wanted)
