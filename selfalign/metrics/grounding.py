"""Grounding: does a phrase choose the region that it names?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Joining = Literal["mean", "max"]
JOININGS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda scores: scores.mean(dim=0),
    "max": lambda scores: scores.amax(dim=0),
}
"""How the words of a phrase score a region together."""


def phrase_scores(similarity: Tensor, joining: Joining = "mean", temperature: float | None = None) -> Tensor:
    """(R,) scores of the regions of an image for a phrase.

    Args:
        similarity: (K, R) of the phrase's K words with the regions.
        joining: the mean or the maximum over the words.
        temperature: of the attention over the regions that each word is turned into first; ``None`` for the similarity
            itself.

    Example:
        >>> phrase_scores(torch.tensor([[0.5, 0.25], [0.0, 0.75]]))
        tensor([0.2500, 0.5000])
    """
    scores = similarity if temperature is None else torch.softmax(similarity / temperature, dim=-1)
    return JOININGS[joining](scores)


def first_right(scores: Tensor, right: Tensor) -> Tensor:
    """(T,) place from 1 of the best right region; 0 where none is right.

    Equal scores count against the model, as in retrieval.

    Args:
        scores: (R,).
        right: (T, R) bool, by T notions of right.

    Example:
        >>> first_right(torch.tensor([0.9, 0.5, 0.5]), torch.tensor([[False, True, False], [False, False, False]]))
        tensor([3, 0])
    """
    best = scores.masked_fill(~right, -torch.inf).amax(dim=1, keepdim=True)  # (T, 1)
    ahead = (~right & (scores >= best)).sum(dim=1)
    return torch.where(right.any(dim=1), ahead + 1, 0)
