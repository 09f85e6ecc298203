"""The first answers of a whole gallery both ways, in the order that ranks are counted by."""

from __future__ import annotations

import torch
from torch import Tensor

from selfalign.functional.ranks import ROUNDING, Tile, grid
from selfalign.functional.search import Hits, largest, merged_answers
from selfalign.processes.exchange import ALONE, Processes

_QUERIES = 512
_PENDING = 8192
"""Images whose scores wait at most, with the captions of one tile."""
_BEHIND_EQUALS = 1e-12
"""By how much right answers stand behind wrong ones of the same score: less than scores in fp32 can differ."""


class AnswerLists:
    """The first answers of every image and of every caption, in the order that ranks are counted by.

    Where scores are equal within rounding, wrong answers come before right ones (see
    :func:`selfalign.functional.ranks.retrieval_ranks`), then the first rows of the gallery: the first right answer of a
    list stands at the place that its rank says.

    Args:
        image_of_caption: (M,) int64.
        images: N.
        top: K answers a query; all where there are fewer.

    Raises:
        ValueError: if ``top`` is less than 1.

    Example:
        >>> lists = AnswerLists(torch.tensor([0, 1]), images=2, top=1)  # one caption each
        >>> lists.see(slice(0, 2), slice(0, 2), torch.tensor([[0.9, 0.1], [0.5, 0.4]]))
        >>> [hits.rows.tolist() for hits in lists.lists()]
        [[[0], [0]], [[0], [1]]]
    """

    def __init__(self, image_of_caption: Tensor, images: int, top: int) -> None:
        if top < 1:
            raise ValueError(f"top: expected at least 1, got {top}")
        captions, device = len(image_of_caption), image_of_caption.device
        self._owners = image_of_caption
        self._of_caption = torch.full((captions,), -torch.inf, device=device)
        self._i2t = _none_yet(images, min(top, captions), device)  # the wrong ones, until lists() puts in the right
        self._t2i = _none_yet(captions, min(top, images), device)
        self._columns = slice(0, 0)
        self._pending: list[tuple[slice, Tensor]] = []

    def see(self, rows: slice, columns: slice, scores: Tensor) -> None:
        """Take in a tile: similarities of a slice of the images and one of the captions, each pair shown once.

        Tiles come in ascending order of captions and then of images; some of them may be left to other processes.
        """
        if columns != self._columns or sum(len(tile) for _, tile in self._pending) + len(scores) > _PENDING:
            self._take_in()
        self._columns = columns
        self._pending.append((rows, scores.to(self._owners.device, torch.float32)))

    def _take_in(self) -> None:
        """Find the best of the tiles that wait: a few of many at once, where tile by tile would be slower."""
        if not self._pending:
            return
        device = self._owners.device
        rows = torch.cat([torch.arange(part.start, part.stop, device=device) for part, _ in self._pending])
        scores = torch.cat([tile for _, tile in self._pending])
        self._pending.clear()
        columns = torch.arange(self._columns.start, self._columns.stop, device=device)
        row, column = (rows[:, None] == self._owners[columns]).nonzero(as_tuple=True)
        self._of_caption[columns[column]] = scores[row, column]
        scores[row, column] = -torch.inf
        _keep_best(self._i2t, rows, columns, scores)
        _keep_best(self._t2i, columns, rows, scores.mT.contiguous())

    def lists(self, processes: Processes = ALONE) -> tuple[Hits, Hits]:
        """Captions of each image, rows (N, K), and images of each caption, rows (M, K); scores as the tiles gave them.

        Args:
            processes: which together have seen all tiles.
        """
        self._take_in()
        right = processes.max(self._of_caption)
        i2t, t2i = (_of_all(best, processes) for best in (self._i2t, self._t2i))
        captions = _grouped(self._owners, len(i2t.rows))
        of_image = torch.where(captions < 0, -torch.inf, right[captions])
        return (
            _with_right(i2t, Hits(captions, of_image)).map(Tensor.cpu),
            _with_right(t2i, Hits(self._owners[:, None], right[:, None])).map(Tensor.cpu),
        )


def _none_yet(queries: int, top: int, device: torch.device) -> Hits:
    return Hits(
        torch.full((queries, top), -1, device=device),
        torch.full((queries, top), -torch.inf, device=device),
    )


def _keep_best(best: Hits, queries: Tensor, gallery: Tensor, scores: Tensor) -> None:
    """Merge (q, g) scores of rows of a gallery into the best answers of some queries, which are of earlier rows."""
    top = best.rows.shape[1]
    for part in (slice(start, start + _QUERIES) for start in range(0, len(queries), _QUERIES)):
        asked, values = queries[part], scores[part]
        known = Hits(best.rows[asked], best.scores[asked])
        better = int((values > known.scores[:, -1:]).sum(dim=1).max())  # of equals the earlier stays
        if better == 0:
            continue
        found = largest(values, min(better, top), 0)
        merged = merged_answers(known, Hits(gallery[found.rows], found.scores), top)
        best.rows[asked], best.scores[asked] = merged.rows, merged.scores


def _of_all(best: Hits, processes: Processes) -> Hits:
    """What all processes found for the same queries; theirs are parts of the gallery that interleave."""
    if processes.size == 1:
        return best
    queries, top = best.rows.shape
    rows, scores = (
        processes.gather(values).view(processes.size, queries, top).transpose(0, 1).flatten(1)
        for values in (best.rows, best.scores)
    )
    order = rows.argsort(dim=1)
    return merged_answers(Hits(rows.gather(1, order), scores.gather(1, order)), Hits(rows[:, :0], scores[:, :0]), top)


def _grouped(owners: Tensor, images: int) -> Tensor:
    """(N, most) rows of the captions of every image, ascending; -1 where it has fewer."""
    order = owners.argsort(stable=True)
    counts = owners.bincount(minlength=images)
    first = counts.cumsum(0) - counts
    grouped = torch.full((images, int(counts.max())), -1, device=owners.device)
    grouped[owners[order], torch.arange(len(owners), device=owners.device) - first[owners[order]]] = order
    return grouped


def _with_right(wrong: Hits, right: Hits) -> Hits:
    """The lists with the right answers (Q, R) at the place that their ranks say; a row of -1 is none."""
    # By rounding in fp32, as ranks are counted: in fp64 some of the wrong ones would fall on the other side.
    placed = torch.cat([wrong.scores.double(), (right.scores - ROUNDING).double() - _BEHIND_EQUALS], dim=1)
    order = placed.argsort(dim=1, descending=True, stable=True)[:, : wrong.rows.shape[1]]
    rows = torch.cat([wrong.rows, right.rows], dim=1)
    return Hits(rows.gather(1, order), torch.cat([wrong.scores, right.scores], dim=1).gather(1, order))


def answer_lists(tile: Tile, image_of_caption: Tensor, images: int, top: int) -> tuple[Hits, Hits]:
    """The lists of :class:`AnswerLists` by themselves, from one pass over the similarities.

    Args:
        tile: similarities of a slice of the images and a slice of the captions.
        image_of_caption, images, top: as there.

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
    found = AnswerLists(image_of_caption, images, top)
    for rows, columns in grid(images, len(image_of_caption)):
        found.see(rows, columns, tile(rows, columns))
    return found.lists()
