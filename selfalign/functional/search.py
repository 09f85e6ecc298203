"""The first answers of many queries, exact, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from selfalign.functional.ranks import Tile
from selfalign.structures import TensorRecord

_QUERIES = 512
_GALLERY = 8192


@dataclass(frozen=True, eq=False)
class Hits(TensorRecord):
    """The best answers of every query, best first; of equal scores the first row of the gallery comes first.

    Attributes:
        rows: (Q, K) int64, rows of the gallery.
        scores: (Q, K) fp32, their similarities.
    """

    rows: Tensor
    scores: Tensor


def first_answers(tile: Tile, queries: int, gallery: int, top: int) -> Hits:
    """The ``top`` answers of every query, in memory of a few tiles, whatever the size of the gallery.

    Args:
        tile: similarities (q, g) of a slice of the queries and a slice of the gallery.
        queries: how many.
        gallery: how many; all of them are answers where ``top`` is more.
        top: answers a query.

    Raises:
        ValueError: if ``top`` is less than 1.

    Example:
        >>> scores = torch.tensor([[0.1, 0.9, 0.5]])  # one query, three answers
        >>> first_answers(lambda queries, gallery: scores[queries, gallery], queries=1, gallery=3, top=2).rows
        tensor([[1, 2]])
    """
    if top < 1:
        raise ValueError(f"top: expected at least 1, got {top}")
    found = [
        _of_part(tile, slice(start, min(start + _QUERIES, queries)), gallery, top)
        for start in range(0, queries, _QUERIES)
    ]
    return Hits(torch.cat([hits.rows for hits in found]), torch.cat([hits.scores for hits in found]))


def _at_least_single(scores: Tensor) -> Tensor:
    return scores.cpu() if scores.dtype == torch.float64 else scores.float().cpu()


def _of_part(tile: Tile, part: slice, gallery: int, top: int) -> Hits:
    count = part.stop - part.start
    best = Hits(torch.empty(count, 0, dtype=torch.int64), torch.empty(count, 0))
    for start in range(0, gallery, _GALLERY):
        columns = slice(start, min(start + _GALLERY, gallery))
        best = merged_answers(best, largest(_at_least_single(tile(part, columns)), top, start), top)
    return best


def largest(scores: Tensor, top: int, offset: int) -> Hits:
    """The ``top`` of (q, g) scores, best first; where scores are equal, those of the first rows."""
    top = min(top, scores.shape[1])
    best, rows = scores.topk(top, dim=1)
    edge = best[:, -1:]
    left_out = (scores == edge).sum(dim=1) > (best == edge).sum(dim=1)  # of equals, topk takes any
    disordered = ((best[:, 1:] == best[:, :-1]) & (rows[:, 1:] < rows[:, :-1])).any(dim=1)
    again = (left_out | disordered).nonzero()[:, 0]
    if len(again):
        rows[again] = scores[again].argsort(dim=1, descending=True, stable=True)[:, :top]
    return Hits(rows + offset, best)


def merged_answers(one: Hits, other: Hits, top: int) -> Hits:
    """The ``top`` answers of two parts of a gallery.

    Args:
        one: has the earlier rows, which a stable order keeps first where scores are equal.
        other: has the later ones.
        top: answers a query.

    Example:
        >>> one = Hits(torch.tensor([[0, 1]]), torch.tensor([[0.9, 0.2]]))
        >>> merged_answers(one, Hits(torch.tensor([[2]]), torch.tensor([[0.5]])), top=2).rows
        tensor([[0, 2]])
    """
    rows, scores = torch.cat([one.rows, other.rows], dim=1), torch.cat([one.scores, other.scores], dim=1)
    order = scores.argsort(dim=1, descending=True, stable=True)[:, :top]
    return Hits(rows.gather(1, order), scores.gather(1, order))
