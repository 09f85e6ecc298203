"""InfoNCE: the right pair against every other pair of the batch, in both directions."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from selfalign.functional.precision import at_least_single

SameImage = Literal["masked", "positive", "negative"]
_COLDEST, _WARMEST = 0.01, 0.1


def infonce(
    similarity: Tensor, temperature: Tensor | float, *, image_ids: Tensor, same_image: SameImage = "masked"
) -> Tensor:
    """``½ (CE(S/τ) + CE(Sᵀ/τ))``, each the mean over its queries (METHOD section 9.2).

    Args:
        similarity: (B, B), images × captions, right pairs on the diagonal.
        temperature: τ.
        image_ids: (B,) image of each pair.
        same_image: what other captions of the same image are: left out, answers that are right too (the mean over all
            right answers, as in supervised contrastive learning), or wrong answers.

    Returns:
        a scalar; 0 for a batch in which nobody has a wrong answer.
    """
    if same_image not in get_args(SameImage):
        raise ValueError(f"same_image: expected one of {', '.join(get_args(SameImage))}, got {same_image!r}")
    with torch.autocast(similarity.device.type, enabled=False):
        logits = at_least_single(similarity) / temperature
        own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        same = image_ids[:, None] == image_ids[None, :]  # (B, B), symmetric
        if same_image == "masked":
            logits = logits.masked_fill(same & ~own, -torch.inf)
        right = same if same_image == "positive" else own
        return 0.5 * (_cross_entropy(logits, right) + _cross_entropy(logits.mT, right))


def _cross_entropy(logits: Tensor, right: Tensor) -> Tensor:
    """Of (B, B) logits whose rows are queries: mean over each query's right answers, then over the queries."""
    log_shares = torch.log_softmax(logits, dim=1)
    per_query = log_shares.masked_fill(~right, 0.0).sum(dim=1) / right.sum(dim=1)
    return -per_query.mean()


class InfoNceLoss(nn.Module):
    """See :func:`infonce`.

    Args:
        temperature: τ, or where it starts.
        learned: train τ; it stays between 0.01 and 0.1.
        same_image: see :func:`infonce`.
    """

    def __init__(self, temperature: float = 0.07, learned: bool = False, same_image: SameImage = "masked") -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature: expected a positive number, got {temperature}")
        if learned and not _COLDEST <= temperature <= _WARMEST:
            raise ValueError(f"temperature: expected {_COLDEST} to {_WARMEST} for a learned one, got {temperature}")
        if same_image not in get_args(SameImage):
            raise ValueError(f"same_image: expected one of {', '.join(get_args(SameImage))}, got {same_image!r}")
        self.fixed_temperature = temperature
        self.same_image = same_image
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature))) if learned else None

    @property
    def temperature(self) -> Tensor | float:
        """τ; a learned one with its gradient."""
        return self.fixed_temperature if self.log_temperature is None else self.log_temperature.exp()

    def forward(self, similarity: Tensor, image_ids: Tensor, epoch: int = 0) -> Tensor:
        """Loss of (B, B) similarities whose pairs belong to the images ``image_ids`` (B,); ``epoch`` changes nothing.

        A learned temperature is put back into its range first, in place: outside of it, its gradient stays alive.
        """
        if self.log_temperature is not None:
            with torch.no_grad():
                self.log_temperature.clamp_(math.log(_COLDEST), math.log(_WARMEST))
        return infonce(similarity, self.temperature, image_ids=image_ids, same_image=self.same_image)
