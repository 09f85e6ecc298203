"""The first answers of many queries, exact, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from selfalign.functional.ranks import ROUNDING, Tile
from selfalign.structures import TensorRecord

_QUERIES = 512
_GALLERY = 8192
_BEHIND_EQUALS = 1e-12
"""By how much right answers stand behind wrong ones of the same score: less than scores in fp32 can differ."""


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
        best = merged_answers(best, _largest(_at_least_single(tile(part, columns)), top, start), top)
    return best


def _largest(scores: Tensor, top: int, offset: int) -> Hits:
    """The ``top`` of (q, g) scores; where equal scores stand on the edge, those of the first rows."""
    top = min(top, scores.shape[1])
    edge = scores.topk(top, dim=1).values[:, -1:]
    above, on_edge = scores > edge, scores == edge
    room = top - above.sum(dim=1, keepdim=True)
    kept = above | (on_edge & (on_edge.cumsum(dim=1, dtype=torch.int32) <= room))
    rows = kept.nonzero()[:, 1].view(len(scores), top)
    return Hits(rows + offset, scores.gather(1, rows))


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


def answer_lists(tile: Tile, image_of_caption: Tensor, images: int, top: int) -> tuple[Hits, Hits]:
    """The first answers of every image and of every caption, in the order that ranks are counted by.

    Where scores are equal within rounding, wrong answers come before right ones (see
    :func:`selfalign.functional.ranks.retrieval_ranks`), then the first rows of the gallery: the first right answer of a
    list stands at the place that its rank says.

    Args:
        tile: similarities of a slice of the images and a slice of the captions.
        image_of_caption: (M,) int64.
        images: N.
        top: K answers a query; all where there are fewer.

    Returns:
        captions of each image, rows (N, K), and images of each caption, rows (M, K); scores as the tile gives them.

    Example:
        >>> scores = torch.tensor([[0.7, 0.7], [0.1, 0.2]])  # two images, one caption each
        >>> i2t, t2i = answer_lists(lambda rows, columns: scores[rows, columns], torch.tensor([0, 1]), 2, top=2)
        >>> i2t.rows, t2i.rows
        (tensor([[1, 0],
                [1, 0]]), tensor([[0, 1],
                [0, 1]]))
    """
    owners = image_of_caption.cpu()
    of_caption = torch.empty(len(owners))  # with its own image, as the tile gave it

    def stepped_back(rows: slice, columns: slice) -> Tensor:
        scores = tile(rows, columns).cpu().float()
        row = owners[columns] - rows.start
        column = ((row >= 0) & (row < len(scores))).nonzero()[:, 0]
        right = scores[row[column], column]
        of_caption[columns.start + column] = right
        # By rounding in fp32, as ranks are counted: in fp64 some of the wrong ones would fall on the other side.
        placed = scores.double()
        placed[row[column], column] = (right - ROUNDING).double() - _BEHIND_EQUALS
        return placed

    i2t = first_answers(stepped_back, images, len(owners), top)
    own = owners[i2t.rows] == torch.arange(images)[:, None]
    i2t = Hits(i2t.rows, torch.where(own, of_caption[i2t.rows], i2t.scores.float()))
    t2i = first_answers(lambda captions, rows: stepped_back(rows, captions).mT.contiguous(), len(owners), images, top)
    own = t2i.rows == owners[:, None]
    return i2t, Hits(t2i.rows, torch.where(own, of_caption[:, None], t2i.scores.float()))
