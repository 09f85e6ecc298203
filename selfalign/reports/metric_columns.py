"""The columns that tables of several models have: a figure each, of both directions."""

from __future__ import annotations

from selfalign.metrics.rank_metrics import RankMetric, rank_metrics
from selfalign.runs.results import DIRECTIONS


def shown_metrics() -> list[RankMetric]:
    """The figures of a direction."""
    return [metric for metric in rank_metrics() if metric.in_tables]


def metric_columns() -> dict[str, int]:
    """Names of figures, ``i2t_r1`` …, and their digits after the point."""
    return {f"{side}_{metric.name}": metric.digits for side in DIRECTIONS for metric in shown_metrics()}


def column_labels() -> list[str]:
    """Their headings; the direction stands before the first one of it."""
    labels = [metric.label for metric in shown_metrics()]
    return [f"{side} {label}" if not place else label for side in DIRECTIONS for place, label in enumerate(labels)]
