"""Exact ranks by counting, without ever storing the similarity of a whole gallery."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from selfalign.functional.similarity import pair_similarity
from selfalign.processes.exchange import ALONE, Processes
from selfalign.structures import CaptionEmbedding, ImageEmbedding, Ranks

Tile = Callable[[slice, slice], Tensor]
"""Similarities (n, m) in fp32 of a slice of the images and a slice of the captions."""

TILE_IMAGES = 500
TILE_CAPTIONS = 2500
"""Of MSCOCO's five folds each is then a number of whole tiles."""
_CACHED_TILES = 32
ROUNDING = 1e-6
"""Scores this close are a tie: one pair's product differs by as much between tiles of two shapes in fp32."""


def embedding_tile(image: ImageEmbedding, caption: CaptionEmbedding) -> Tile:
    """The tiles of one model's embeddings of N images and M captions."""
    return lambda images, captions: pair_similarity(
        image.map(lambda values: values[images]), caption.map(lambda values: values[captions])
    )


def mean_tile(tiles: Sequence[Tile]) -> Tile:
    """The tiles of an ensemble: the mean of the models' similarities."""
    if len(tiles) == 1:
        return tiles[0]
    return lambda images, captions: torch.stack([tile(images, captions) for tile in tiles]).mean(dim=0)


def full_similarity(tile: Tile, images: int, captions: int) -> Tensor:
    """(N, M) similarities on the CPU, where a file of them is asked for.

    Example:
        >>> scores = torch.eye(2)
        >>> torch.equal(full_similarity(lambda rows, columns: scores[rows, columns], 2, 2), scores)
        True
    """
    matrix = torch.empty(images, captions)
    for rows, columns in grid(images, captions):
        matrix[rows, columns] = tile(rows, columns).cpu()
    return matrix


def retrieval_ranks(
    tile: Tile, image_of_caption: Tensor, images: range, captions: range, processes: Processes = ALONE
) -> Ranks:
    """Rank of the best-placed right answer of every query: 1 + the wrong answers that score at least as much.

    Ties count against the model, so that a collapsed one, which gives every pair the same score, ranks last; scores
    within rounding of each other are ties. Memory: a few tiles, whatever the size of the gallery.

    Args:
        tile: gives similarities of the whole gallery.
        image_of_caption: (M,) int64, image that each caption of the whole gallery describes.
        images: consecutive images to rank among.
        captions: the captions of these images, consecutive.
        processes: all of which call this with the same gallery; each computes its share of the tiles.

    Returns:
        ranks from 1 of those of ``images`` that have a caption, and of ``captions``. An image without one is no query:
        no answer would be right; captions search it like any other.

    Raises:
        ValueError: if ``captions`` are not those of ``images``, or a score is not finite.

    Example:
        >>> scores = torch.tensor([[0.9, 0.1], [0.5, 0.4]])  # two images, one caption each
        >>> owners = torch.tensor([0, 1])
        >>> found = retrieval_ranks(lambda rows, columns: scores[rows, columns], owners, range(2), range(2))
        >>> found.i2t, found.t2i  # a wrong caption comes first for image 1
        (tensor([1, 2]), tensor([1, 1]))
    """
    whole = max(images.stop, int(image_of_caption.max()) + 1) if len(image_of_caption) else images.stop
    return ranks_of_areas(tile, image_of_caption, whole, [Area(images, captions)], processes)[0]


@dataclass(frozen=True)
class Area:
    """A gallery inside a larger one: consecutive images and their captions, consecutive too."""

    images: range
    captions: range

    def part(self, rows: slice, columns: slice) -> tuple[slice, slice] | None:
        """What it has of a tile, as rows and columns of the whole gallery; ``None`` if nothing."""
        images = slice(max(rows.start, self.images.start), min(rows.stop, self.images.stop))
        captions = slice(max(columns.start, self.captions.start), min(columns.stop, self.captions.stop))
        return (images, captions) if images.start < images.stop and captions.start < captions.stop else None


def ranks_of_areas(
    tile: Tile,
    image_of_caption: Tensor,
    images: int,
    areas: Sequence[Area],
    processes: Processes = ALONE,
    see: Callable[[slice, slice, Tensor], None] | None = None,
) -> tuple[Ranks, ...]:
    """The ranks of :func:`retrieval_ranks` within each of some areas, from one pass over the similarities.

    Args:
        tile, image_of_caption, processes: as there.
        images: N, of the whole gallery.
        areas: galleries of their own, which may overlap.
        see: shown every tile of the gallery that this process computes, once, in ascending order of captions and
            then of images. All processes together show all tiles; without it, those outside every area are left out.

    Example:
        >>> scores = torch.tensor([[0.9, 0.1], [0.5, 0.4]])
        >>> areas = [Area(range(2), range(2)), Area(range(1, 2), range(1, 2))]  # all, and image 1 alone
        >>> found = ranks_of_areas(lambda rows, columns: scores[rows, columns], torch.tensor([0, 1]), 2, areas)
        >>> [ranks.i2t.tolist() for ranks in found]
        [[1, 2], [1]]
    """
    owners = image_of_caption.cpu()
    for area in areas:
        _require_its_captions(area, owners)
    own = [place for place in grid(images, len(owners)) if see is not None or any(area.part(*place) for area in areas)][
        processes.rank :: processes.size
    ]
    best_of_image, of_caption, cache = _right_scores(tile, owners, images, own)
    device = image_of_caption.device  # that of the embeddings: what processes exchange has to be there
    best_of_image = processes.max(best_of_image.to(device)).cpu()
    of_caption = processes.max(of_caption.to(device)).cpu()
    counted = [_Counted(area) for area in areas]
    for rows, columns in own:
        scores = cache.pop((rows.start, columns.start), None)
        scores = _checked(tile(rows, columns), rows, columns) if scores is None else scores
        if see is not None:
            see(rows, columns, scores)
        wrong = ~_right(owners[columns], rows).to(scores.device)
        before_image = (scores >= best_of_image[rows, None].to(scores.device) - ROUNDING) & wrong
        before_caption = (scores >= of_caption[None, columns].to(scores.device) - ROUNDING) & wrong
        for counts in counted:
            counts.add(rows, columns, before_image, before_caption)
    return tuple(counts.ranks(owners, processes, device) for counts in counted)


class _Counted:
    """How many wrong answers come before the right one, for the queries of one area."""

    def __init__(self, area: Area) -> None:
        self.area = area
        self.of_images = torch.zeros(len(area.images), dtype=torch.int64)
        self.of_captions = torch.zeros(len(area.captions), dtype=torch.int64)

    def add(self, rows: slice, columns: slice, before_image: Tensor, before_caption: Tensor) -> None:
        """Count what a tile has of the area; (n, m) bool each: a wrong pair comes before the right one."""
        part = self.area.part(rows, columns)
        if part is None:
            return
        images, captions = part
        inside = _shift(images, rows.start), _shift(captions, columns.start)
        self.of_images[_shift(images, self.area.images.start)] += before_image[inside].sum(dim=1).cpu()
        self.of_captions[_shift(captions, self.area.captions.start)] += before_caption[inside].sum(dim=0).cpu()

    def ranks(self, owners: Tensor, processes: Processes, device: torch.device) -> Ranks:
        """From what all processes have counted."""
        of_images, of_captions = (
            processes.sum(counts.to(device)).cpu() for counts in (self.of_images, self.of_captions)
        )
        asked = owners[self.area.captions.start : self.area.captions.stop].unique() - self.area.images.start
        return Ranks(i2t=of_images[asked] + 1, t2i=of_captions + 1)


def _require_its_captions(area: Area, owners: Tensor) -> None:
    described = (owners >= area.images.start) & (owners < area.images.stop)
    if len(area.captions) == 0 or not described[area.captions.start : area.captions.stop].all():
        raise ValueError(
            f"captions: expected to describe images {area.images.start} to {area.images.stop - 1}, got others"
        )
    if int(described.sum()) != len(area.captions):
        raise ValueError(
            f"captions: expected all of images {area.images.start} to {area.images.stop - 1}, "
            f"got {len(area.captions)} of {int(described.sum())}"
        )


def _right_scores(
    tile: Tile, owners: Tensor, images: int, own: list[tuple[slice, slice]]
) -> tuple[Tensor, Tensor, dict[tuple[int, int], Tensor]]:
    """Best right score of each image and right score of each caption in ``own`` tiles, and the first of these tiles."""
    best_of_image = torch.full((images,), -torch.inf)
    of_caption = torch.full((len(owners),), -torch.inf)
    cache: dict[tuple[int, int], Tensor] = {}
    for rows, columns in own:
        right = _right(owners[columns], rows)
        if not right.any():
            continue
        scores = _checked(tile(rows, columns), rows, columns)
        if len(cache) < _CACHED_TILES:
            cache[rows.start, columns.start] = scores
        row, column = right.nonzero(as_tuple=True)
        found = scores[row.to(scores.device), column.to(scores.device)].cpu().float()
        of_caption[columns.start + column] = found
        best_of_image.scatter_reduce_(0, rows.start + row, found, reduce="amax")
    return best_of_image, of_caption, cache


def _right(owners: Tensor, rows: slice) -> Tensor:
    """(n, m) bool: caption describes image."""
    return torch.arange(rows.start, rows.stop)[:, None] == owners[None, :]


def _checked(scores: Tensor, rows: slice, columns: slice) -> Tensor:
    if not torch.isfinite(scores).all():
        raise ValueError(
            f"similarity: expected finite scores, got others among images {rows.start}-{rows.stop - 1} "
            f"and captions {columns.start}-{columns.stop - 1}"
        )
    return scores


def _shift(part: slice, start: int) -> slice:
    return slice(part.start - start, part.stop - start)


def grid(images: int, captions: int) -> Iterator[tuple[slice, slice]]:
    """The tiles of a gallery, in ascending order of captions and then of images."""
    for column in range(0, captions, TILE_CAPTIONS):
        for row in range(0, images, TILE_IMAGES):
            yield slice(row, min(row + TILE_IMAGES, images)), slice(column, min(column + TILE_CAPTIONS, captions))
