"""Precision of an ordered list where a query has many right answers (Musgrave et al., ECCV 2020; ECCV Caption)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ListPrecision:
    """Figures of one query with R right answers, from 0 to 1.

    Attributes:
        map_at_r: mean over the first R places of the share of right answers down to there, 0 at wrong ones.
        r_precision: share of right answers among the first R.
        r1: whether the first answer is right.
    """

    map_at_r: float
    r_precision: float
    r1: float


def list_precision(answers: Sequence[int], right: Collection[int]) -> ListPrecision:
    """Figures of the answers of a query.

    Args:
        answers: best first, at least R.
        right: the R right answers, at least one.

    Raises:
        ValueError: if there are fewer answers than right ones, or none is right.

    Example:
        >>> list_precision([7, 2, 9, 4], right=[7, 9])
        ListPrecision(map_at_r=0.5, r_precision=0.5, r1=1.0)
    """
    wanted = set(right)
    depth = len(wanted)
    if not 0 < depth <= len(answers):
        raise ValueError(f"answers: expected at least as many as right ones and one of these, got {len(answers)}")
    hits, total = 0, 0.0
    for place, answer in enumerate(answers[:depth], start=1):
        if answer in wanted:
            hits += 1
            total += hits / place
    return ListPrecision(total / depth, hits / depth, float(answers[0] in wanted))
