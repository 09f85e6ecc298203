"""The best answers of one query, in the order that its rank is counted by."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from selfalign.functional.ranks import ROUNDING
from selfalign.structures import TensorRecord


@dataclass(frozen=True, eq=False)
class Answers(TensorRecord):
    """What was found for a query.

    Attributes:
        best: (K,) int64, the best answers, best first.
        scores: (K,) their similarities.
        best_right: () int64, the best-placed right answer.
        rank: () int64, its place from 1, as ``retrieval_ranks`` counts it.
    """

    best: Tensor
    scores: Tensor
    best_right: Tensor
    rank: Tensor


def best_answers(scores: Tensor, right: Tensor, count: int) -> Answers:
    """Order the answers of a query; ties count against the right ones, so these come after the wrong ones.

    Args:
        scores: (M,) similarities of all answers.
        right: (M,) bool, right answers, at least one.
        count: answers to return; all where there are fewer.

    Example:
        >>> found = best_answers(torch.tensor([0.2, 0.9, 0.5]), torch.tensor([False, False, True]), count=2)
        >>> found.best, found.rank
        (tensor([1, 2]), tensor(2))
    """
    placed = torch.where(right, scores - ROUNDING, scores)
    wrong_first = right.int().argsort(stable=True)
    order = wrong_first[placed[wrong_first].argsort(descending=True, stable=True)]
    place = right[order].int().argmax()
    return Answers(order[:count], scores[order[:count]], order[place], place + 1)
