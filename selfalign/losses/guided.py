"""InfoNCE with margins from the captions' words: who says nearly the same is pushed away less."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from selfalign.functional.precision import at_least_single
from selfalign.losses.infonce import infonce


def caption_relevance(tokens: Tensor, mask: Tensor) -> Tensor:
    """Cosine of the captions' tf-idf vectors, documents being the captions of the batch itself.

    A token counts once a caption, ``log(B / captions with it)``; what every caption has, as the special tokens of BERT,
    counts nothing.

    Args:
        tokens: (B, W) int64.
        mask: (B, W) bool, tokens that are no padding.

    Returns:
        (B, B) fp32, 0 to 1; 1 on the diagonal, also of captions in which nothing counts.

    Example:
        >>> tokens = torch.tensor([[1, 2, 3], [1, 2, 4], [1, 5, 5]])  # the first token is in every caption
        >>> caption_relevance(tokens, torch.ones_like(tokens, dtype=torch.bool)).round(decimals=2)
        tensor([[1.0000, 0.1200, 0.0000],
                [0.1200, 1.0000, 0.0000],
                [0.0000, 0.0000, 1.0000]])
    """
    # A column for every token of the batch, of which as many are used as differ: how many, a GPU's host need not know.
    ordered, places = torch.where(mask, tokens, -1).flatten().sort()
    columns = nn.functional.pad(ordered[1:] != ordered[:-1], (1, 0)).cumsum(dim=0)
    ids = torch.empty_like(columns).scatter_(0, places, columns).view(tokens.shape)  # padding is alone in its column
    present = torch.zeros(len(tokens), tokens.numel(), device=tokens.device).scatter_(1, ids, mask.float())
    weighted = present * torch.log(len(tokens) / present.sum(dim=0).clamp_min(1))
    vectors = nn.functional.normalize(weighted, dim=1)
    return (vectors @ vectors.mT).clamp(0, 1).fill_diagonal_(1.0)


def guided_infonce(
    similarity: Tensor,
    temperature: float,
    *,
    image_ids: Tensor,
    relevance: Tensor,
    margin: float,
    quantile: float,
) -> Tensor:
    """:func:`infonce` with ``S_ij + m_ij`` for wrong pairs, ``m_ij = margin · min(1, (1 − r_ij) / (1 − α))``.

    Language-guided margins (METHOD section 9.5) with the captions' own words as the teacher.

    Args:
        similarity: (B, B), images × captions, right pairs on the diagonal.
        temperature: τ.
        image_ids: (B,) image of each pair; other captions of the same image are left out.
        relevance: r (B, B), :func:`caption_relevance`, with no gradient.
        margin: of captions that have nothing to do with each other.
        quantile: α is this quantile of r over wrong pairs: pairs below have the full margin.

    Returns:
        a scalar.
    """
    with torch.autocast(similarity.device.type, enabled=False):
        wrong = image_ids[:, None] != image_ids[None, :]
        threshold = relevance.masked_fill(~wrong, torch.nan).nanquantile(quantile).nan_to_num(0.0)  # none is wrong: any
        margins = margin * ((1 - relevance) / (1 - threshold).clamp_min(1e-6)).clamp_max(1.0)
        return infonce(at_least_single(similarity) + margins * wrong, temperature, image_ids=image_ids)


class GuidedInfoNceLoss(nn.Module):
    """See :func:`guided_infonce`.

    Args:
        temperature: τ.
        margin, quantile: as there.
    """

    def __init__(self, temperature: float = 0.07, margin: float = 0.2, quantile: float = 0.5) -> None:
        super().__init__()
        self.temperature, self.margin, self.quantile = temperature, margin, quantile

    def forward(self, similarity: Tensor, image_ids: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Loss of (B, B) similarities of pairs whose captions are ``tokens`` (B, W), ``mask`` (B, W)."""
        return guided_infonce(
            similarity,
            self.temperature,
            image_ids=image_ids,
            relevance=caption_relevance(tokens, mask),
            margin=self.margin,
            quantile=self.quantile,
        )
