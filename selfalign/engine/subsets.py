"""Figures of a part of a split: its queries in the whole gallery, or a gallery of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from selfalign.data.dataset import Split
from selfalign.data.subset import as_ranges, read_subset
from selfalign.errors import UserError
from selfalign.functional.lists import AnswerLists
from selfalign.functional.ranks import Tile
from selfalign.metrics.protocols import RetrievalResult, evaluate_protocols, summarise
from selfalign.processes.exchange import Processes
from selfalign.structures import Ranks

WHOLE = "whole"


@dataclass(frozen=True, eq=False)
class ChosenQueries:
    """The captions of a subset and what they are ranked in.

    Attributes:
        captions: (S,) int64, ascending rows of the split.
        in_whole: in all of the split, or among themselves and their images.
        record: for ``results.json``.
    """

    captions: Tensor
    in_whole: bool
    record: dict[str, Any]


def chosen_queries(subset: Mapping[str, Any] | None, split: Split) -> ChosenQueries | None:
    """The queries that a file names; ``None`` without one.

    Raises:
        UserError: if the file does not fit the split.
    """
    if subset is None or subset["file"] is None:
        return None
    path = Path(subset["file"])
    rows = read_subset(path, subset["of"], split.files, split.image_of_caption, split.images)
    captions = torch.from_numpy(rows)
    record = {"file": path.name, "of": subset["of"], "gallery": subset["gallery"], "captions": as_ranges(rows)}
    return ChosenQueries(captions, subset["gallery"] == WHOLE, record)


def protocols_of(chosen: ChosenQueries | None, protocols: list[str], *, named: bool, answers: int) -> list[str]:
    """The protocols of an evaluation: of a subset only ``full``, since the folds of others are of a whole split.

    Args:
        chosen: the subset.
        protocols: of the evaluation.
        named: by the user, who is told; else the others are left out.
        answers: that are to be kept.

    Raises:
        UserError: if another than ``full`` was named, or answers of a part of a gallery's queries are to be kept.
    """
    if chosen is None:
        return protocols
    if named and protocols != ["full"]:
        raise UserError(f"subset: protocol {', '.join(protocols)} is of a whole split; pass protocol=full beside it")
    if answers and chosen.in_whole:
        raise UserError("save_answers: keeps those of a whole gallery; pass subset.gallery=subset beside it")
    return ["full"]


def ranked_in_whole(result: RetrievalResult, image_of_caption: Tensor, captions: Tensor) -> RetrievalResult:
    """The result of a whole gallery, of some of its queries.

    An image is a query where one of its captions is; any of its captions is a right answer.

    Args:
        result: of all queries.
        image_of_caption: (M,) of the gallery.
        captions: (S,) rows of the captions that count.
    """
    owners = image_of_caption.cpu()
    asked = torch.searchsorted(owners.unique(), owners[captions].unique())  # images without a caption have no rank
    ranks = Ranks(result.ranks.i2t[asked], result.ranks.t2i[captions])
    return replace(result, i2t=summarise(ranks.i2t), t2i=summarise(ranks.t2i), ranks=ranks)


def renumbered(image_of_caption: Tensor, captions: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of the images of some captions, and the place among them of each caption's.

    Example:
        >>> renumbered(torch.tensor([0, 4, 4, 2]), torch.tensor([1, 3]))
        (tensor([2, 4]), tensor([1, 0]))
    """
    images, places = image_of_caption[captions.to(image_of_caption.device)].unique(return_inverse=True)
    return images, places


def evaluate_chosen(
    tile: Tile,
    image_of_caption: Tensor,
    images: int,
    chosen: ChosenQueries | None,
    protocols: Sequence[str],
    processes: Processes,
    lists: AnswerLists | None = None,
) -> list[RetrievalResult]:
    """Rank a gallery; of a subset in the whole of it, its queries only.

    Args:
        tile, image_of_caption, images, protocols, processes, lists: as of
            :func:`selfalign.metrics.protocols.evaluate_protocols`.
        chosen: the subset.
    """
    results = evaluate_protocols(tile, image_of_caption, images, protocols, processes, lists)
    if chosen is None or not chosen.in_whole:
        return results
    return [ranked_in_whole(result, image_of_caption, chosen.captions) for result in results]
