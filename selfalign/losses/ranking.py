"""The bidirectional hinge loss with the hardest negative of the batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def ranking_loss(
    similarity: Tensor, *, margin: float = 0.2, hardest: bool = True, image_ids: Tensor | None = None
) -> Tensor:
    """Hinge of every pair against its negatives in both directions, summed over the batch (METHOD section 6).

    Args:
        similarity: (B, B), images × captions, right pairs on the diagonal.
        margin: 0.2 as published.
        hardest: count the hardest negative of each query only, as published; otherwise the sum over all.
        image_ids: (B,); if given, other captions of the same image are no negatives.

    Returns:
        a scalar; 0 for a batch without negatives.

    Example:
        >>> ranking_loss(torch.tensor([[0.9, 0.8], [0.1, 0.7]]))  # image 0 and caption 1 are within the margin
        tensor(0.4000)
    """
    positive = similarity.diagonal()
    if image_ids is None:
        same = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    else:
        same = image_ids[:, None] == image_ids[None, :]
    captions = (margin + similarity - positive[:, None]).clamp_min(0).masked_fill(same, 0)  # image queries
    images = (margin + similarity - positive[None, :]).clamp_min(0).masked_fill(same, 0)  # caption queries
    if hardest:
        return captions.amax(dim=1).sum() + images.amax(dim=0).sum()
    return captions.sum() + images.sum()


class RankingLoss(nn.Module):
    """See :func:`ranking_loss`.

    Args:
        margin, hardest: as there.
        warm_up_epochs: first epochs in which all negatives count whatever ``hardest`` says; 0 as published. From
            scratch, the hardest negative alone can keep the loss at its plateau of 2 · batch · margin.
        mask_same_image: other captions of the same image are no negatives; off as published.

    Example:
        >>> loss = RankingLoss(margin=0.2)
        >>> loss(torch.eye(3), image_ids=torch.arange(3), epoch=0)
        tensor(0.)
    """

    def __init__(
        self, margin: float = 0.2, hardest: bool = True, warm_up_epochs: int = 0, mask_same_image: bool = False
    ) -> None:
        super().__init__()
        for name, value in (("margin", margin), ("warm_up_epochs", warm_up_epochs)):
            if value < 0:
                raise ValueError(f"{name}: expected at least 0, got {value}")
        self.margin = margin
        self.hardest = hardest
        self.warm_up_epochs = warm_up_epochs
        self.mask_same_image = mask_same_image

    def forward(self, similarity: Tensor, image_ids: Tensor, epoch: int) -> Tensor:
        """Loss of (B, B) similarities whose pairs belong to the images ``image_ids`` (B,), in ``epoch`` from 0."""
        return ranking_loss(
            similarity,
            margin=self.margin,
            hardest=self.hardest and epoch >= self.warm_up_epochs,
            image_ids=image_ids if self.mask_same_image else None,
        )

    def plateau(self, pairs: int, epoch: int) -> float | None:
        """Its value where all similarities are equal, 2 · batch · margin with the hardest negative; ``None`` if 0."""
        negatives = 1 if self.hardest and epoch >= self.warm_up_epochs else pairs - 1
        return 2 * pairs * self.margin * negatives or None
