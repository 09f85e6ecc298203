"""Figures of the ranks of queries, a row each. A row is all that a new one needs: every table reads them from here.

A figure follows from the rank of the best-placed right answer of every query, from 1. What is a mean over queries says
what each query adds, so that comparisons can resample it; a median cannot be resampled so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RankMetric:
    """One figure.

    Attributes:
        name: as in ``results.json``, within a direction.
        label: heading of its column.
        of_queries: ranks (Q,) → what each query adds (Q,); the figure is their mean times ``scale``.
        scale: 100 for percent.
        of_ranks: ranks (Q,) → the figure, where it is no mean over queries.
        digits: after the point, as shown.
        in_tables: comparisons and leaderboards show it; the table of one evaluation shows every figure.
        higher: more is better.
    """

    name: str
    label: str
    of_queries: Callable[[np.ndarray], np.ndarray] | None = None
    scale: float = 1.0
    of_ranks: Callable[[np.ndarray], float] | None = None
    digits: int = 1
    in_tables: bool = True
    higher: bool = True

    def __post_init__(self) -> None:
        if (self.of_queries is None) == (self.of_ranks is None):
            raise ValueError(f"{self.name}: expected either of_queries or of_ranks, got both or neither")

    def figure(self, ranks: np.ndarray) -> float:
        """The figure of (Q,) ranks."""
        if self.of_queries is not None:
            return self.scale * float(np.mean(self.of_queries(ranks)))
        assert self.of_ranks is not None
        return float(self.of_ranks(ranks))


def recall_at(depth: int) -> Callable[[np.ndarray], np.ndarray]:
    """Whether a query has a right answer among the first ``depth``."""
    return lambda ranks: ranks <= depth


def median_rank(ranks: np.ndarray) -> float:
    """The median, rounded down as published."""
    return float(np.floor(np.median(ranks)))


_METRICS: dict[str, RankMetric] = {}


def register(metric: RankMetric) -> RankMetric:
    """Add a row."""
    if metric.name in _METRICS:
        raise ValueError(f"{metric.name}: registered already")
    _METRICS[metric.name] = metric
    return metric


@contextmanager
def registered(metric: RankMetric) -> Iterator[RankMetric]:
    """A row for as long as the context lasts."""
    yield register(metric)
    del _METRICS[metric.name]


def rank_metrics() -> tuple[RankMetric, ...]:
    """All of them, in the order of tables."""
    return tuple(_METRICS.values())


register(RankMetric("r1", "R@1", recall_at(1), 100.0))
register(RankMetric("r5", "R@5", recall_at(5), 100.0))
register(RankMetric("r10", "R@10", recall_at(10), 100.0))
register(RankMetric("median_rank", "median rank", of_ranks=median_rank, digits=0, in_tables=False, higher=False))
register(RankMetric("mean_rank", "mean rank", lambda ranks: ranks, in_tables=False, higher=False))
