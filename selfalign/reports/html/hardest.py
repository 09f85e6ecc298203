"""The queries whose right answers came last, over all runs on the same queries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def hardest(ranks: Sequence[np.ndarray], count: int, image_of_query: np.ndarray) -> list[int]:
    """The hardest of Q queries, at most one an image, the hardest first.

    Args:
        ranks: of each run (Q,), from 1; the geometric mean over runs decides, so that one bad run does not.
        count: how many.
        image_of_query: (Q,); the five captions of a strange picture would tell one thing five times.

    Example:
        >>> hardest([np.array([1, 9, 8, 2]), np.array([1, 9, 8, 4])], 2, np.array([0, 0, 0, 1]))
        [1, 3]
    """
    order = np.argsort(-np.mean(np.log(ranks), axis=0), kind="stable")
    found: list[int] = []
    seen: set[int] = set()
    for query in order.tolist():
        image = int(image_of_query[query])
        if len(found) == count or all(one[query] == 1 for one in ranks):
            break
        if image not in seen:
            seen.add(image)
            found.append(query)
    return found
