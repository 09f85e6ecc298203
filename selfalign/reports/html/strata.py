"""Recall of queries by what they are like: how long a caption is, how many regions an image has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from selfalign.reports.comparison.resampling import ratio_intervals

DEPTHS = (1, 5, 10)
_MOST_BINS = 6
_FEWEST = 30
"""Queries of a bin."""
_DRAWS = 2000


@dataclass(frozen=True)
class Stratum:
    """The queries of one bin.

    Attributes:
        label: as ``7 to 9``.
        queries: how many.
        recalls: at :data:`DEPTHS`, in percent; means over seeds.
        intervals: 95 % bootstrap intervals of them over images, each with its captions.
    """

    label: str
    queries: int
    recalls: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]


def bins(values: np.ndarray) -> list[tuple[int, int]]:
    """Ranges of whole numbers, first and last one, that hold about equally many of (Q,) ``values``.

    Example:
        >>> bins(np.repeat([3, 4, 5, 9], 40))
        [(3, 3), (4, 4), (5, 5), (9, 9)]
    """
    present, counts = np.unique(values, return_counts=True)
    wanted = max(_FEWEST, -(-len(values) // _MOST_BINS))
    found: list[tuple[int, int]] = []
    first, held, left = 0, 0, len(values)
    for place, count in enumerate(counts.tolist()):
        held += count
        if held >= wanted and left - held >= _FEWEST:
            found.append((int(present[first]), int(present[place])))
            first, left, held = place + 1, left - held, 0
    return [*found, (int(present[first]), int(present[-1]))]


def strata(
    ranks: Sequence[np.ndarray], values: np.ndarray, image_of_query: np.ndarray, draws: int = _DRAWS, seed: int = 0
) -> list[Stratum]:
    """Recalls of Q queries in the bins of their values; empty where the values do not vary.

    Args:
        ranks: of each seed (Q,), from 1.
        values: (Q,) whole numbers.
        image_of_query: (Q,) the image that a query is or describes; an image is drawn with all its queries.
        draws, seed: of the bootstrap.
    """
    ranges = bins(values)
    if len(ranges) < 2:
        return []
    images = int(image_of_query.max()) + 1
    hits = np.mean([[one <= depth for depth in DEPTHS] for one in ranks], axis=0)  # (depths, Q)
    inside = [(values >= first) & (values <= last) for first, last in ranges]
    sums, counts = [], []
    for mask in inside:
        count = np.bincount(image_of_query[mask], minlength=images)
        for hit in hits:
            sums.append(np.bincount(image_of_query[mask], weights=hit[mask], minlength=images))
            counts.append(count)
    intervals = ratio_intervals(np.stack(sums, axis=1), np.stack(counts, axis=1), draws, seed)
    return [
        Stratum(
            str(first) if first == last else f"{first} to {last}",
            int(mask.sum()),
            tuple(100 * float(hit[mask].mean()) for hit in hits),
            tuple(intervals[place * len(DEPTHS) : (place + 1) * len(DEPTHS)]),
        )
        for place, ((first, last), mask) in enumerate(zip(ranges, inside, strict=True))
    ]
