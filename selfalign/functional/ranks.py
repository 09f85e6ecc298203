"""Exact ranks by counting, without ever storing the similarity of a whole gallery."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from selfalign.functional.similarity import pair_similarity
from selfalign.processes.exchange import ALONE, Processes
from selfalign.structures import CaptionEmbedding, ImageEmbedding, Ranks

Tile = Callable[[slice, slice], Tensor]
"""Similarities (n, m) in fp32 of a slice of the images and a slice of the captions."""

TILE_IMAGES = 512
TILE_CAPTIONS = 2560
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
    for rows, columns in _grid(range(images), range(captions)):
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
        captions: captions of these images, consecutive.
        processes: all of which call this with the same gallery; each computes its share of the tiles.

    Returns:
        ranks from 1 of those of ``images`` that have a caption, and of ``captions``. An image without one is no query:
        no answer would be right; captions search it like any other.

    Raises:
        ValueError: if a caption's image is outside ``images``, or a score is not finite.

    Example:
        >>> scores = torch.tensor([[0.9, 0.1], [0.5, 0.4]])  # two images, one caption each
        >>> owners = torch.tensor([0, 1])
        >>> found = retrieval_ranks(lambda rows, columns: scores[rows, columns], owners, range(2), range(2))
        >>> found.i2t, found.t2i  # a wrong caption comes first for image 1
        (tensor([1, 2]), tensor([1, 1]))
    """
    owners = image_of_caption[captions.start : captions.stop].cpu()
    if len(owners) == 0 or owners.min() < images.start or owners.max() >= images.stop:
        raise ValueError(f"captions: expected to describe images {images.start} to {images.stop - 1}, got others")
    grid = list(_grid(images, captions))[processes.rank :: processes.size]
    best_of_image, of_caption, cache = _right_scores(tile, owners, images, captions, grid)
    device = image_of_caption.device  # that of the embeddings: what processes exchange has to be there
    best_of_image = processes.max(best_of_image.to(device)).cpu()
    of_caption = processes.max(of_caption.to(device)).cpu()
    above_image = torch.zeros(len(images), dtype=torch.int64)
    above_caption = torch.zeros(len(captions), dtype=torch.int64)
    for rows, columns in grid:
        scores = cache.pop((rows.start, columns.start), None)
        scores = _checked(tile(rows, columns), rows, columns) if scores is None else scores
        own_rows, own_columns = _shift(rows, images), _shift(columns, captions)
        right = _right(owners[own_columns], rows).to(scores.device)
        image_scores = best_of_image[own_rows].to(scores.device)
        caption_scores = of_caption[own_columns].to(scores.device)
        above_image[own_rows] += ((scores >= image_scores[:, None] - ROUNDING) & ~right).sum(dim=1).cpu()
        above_caption[own_columns] += ((scores >= caption_scores[None, :] - ROUNDING) & ~right).sum(dim=0).cpu()
    above_image, above_caption = (processes.sum(above.to(device)).cpu() for above in (above_image, above_caption))
    return Ranks(i2t=above_image[owners.unique() - images.start] + 1, t2i=above_caption + 1)


def _right_scores(
    tile: Tile, owners: Tensor, images: range, captions: range, grid: list[tuple[slice, slice]]
) -> tuple[Tensor, Tensor, dict[tuple[int, int], Tensor]]:
    """Best right score of each image and right score of each caption in ``grid``, and its first tiles for reuse."""
    best_of_image = torch.full((len(images),), -torch.inf)
    of_caption = torch.full((len(captions),), -torch.inf)
    cache: dict[tuple[int, int], Tensor] = {}
    for rows, columns in grid:
        own_rows, own_columns = _shift(rows, images), _shift(columns, captions)
        right = _right(owners[own_columns], rows)
        if not right.any():
            continue
        scores = _checked(tile(rows, columns), rows, columns)
        if len(cache) < _CACHED_TILES:
            cache[rows.start, columns.start] = scores
        row, column = right.nonzero(as_tuple=True)
        found = scores[row.to(scores.device), column.to(scores.device)].cpu().float()
        of_caption[own_columns.start + column] = found
        best_of_image.scatter_reduce_(0, own_rows.start + row, found, reduce="amax")
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


def _shift(part: slice, whole: range) -> slice:
    return slice(part.start - whole.start, part.stop - whole.start)


def _grid(images: range, captions: range) -> Iterator[tuple[slice, slice]]:
    for row in range(images.start, images.stop, TILE_IMAGES):
        for column in range(captions.start, captions.stop, TILE_CAPTIONS):
            yield (
                slice(row, min(row + TILE_IMAGES, images.stop)),
                slice(column, min(column + TILE_CAPTIONS, captions.stop)),
            )
