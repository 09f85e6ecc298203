"""Named evaluation protocols: which galleries are ranked, and how their figures are combined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from selfalign.errors import UserError
from selfalign.functional.lists import AnswerLists
from selfalign.functional.ranks import Area, Tile, ranks_of_areas
from selfalign.metrics.rank_metrics import rank_metrics
from selfalign.processes.exchange import ALONE, Processes
from selfalign.structures import Ranks

FIVE_FOLDS = "coco_1k_5fold"
PROTOCOLS = ("full", FIVE_FOLDS)
PART = "part"
"""No protocol: figures of a part of a split compare with nothing."""
_FOLDS = 5
_FOLD_IMAGES = 1000
_CAPTIONS = 5
"""Of an image, as the published folds have them."""


@dataclass(frozen=True)
class DirectionResult:
    """Figures of one direction, each an attribute too, as ``result.r1``.

    Attributes:
        figures: by name, see :mod:`selfalign.metrics.rank_metrics`.
    """

    figures: Mapping[str, float]

    def __getattr__(self, name: str) -> float:
        figures = self.__dict__.get("figures", {})
        if name not in figures:
            raise AttributeError(name)
        return float(figures[name])


@dataclass(frozen=True)
class RetrievalResult:
    """Figures of one gallery, or of several with their mean.

    Attributes:
        protocol: one of ``PROTOCOLS``.
        images, captions: size of the whole gallery; images without a caption are no queries.
        i2t, t2i: image → text and text → image; means over the folds where there are any.
        ranks: of every query in the order of the split, in folds each within its own gallery.
        folds: the figures of each fold; empty without.
    """

    protocol: str
    images: int
    captions: int
    i2t: DirectionResult
    t2i: DirectionResult
    ranks: Ranks = field(repr=False, compare=False)
    folds: tuple[RetrievalResult, ...] = ()

    @property
    def image_queries(self) -> int:
        """Images that have a caption."""
        return len(self.ranks.i2t)

    @property
    def rsum(self) -> float:
        """Sum of the six recalls, 600 at most."""
        return sum(side.r1 + side.r5 + side.r10 for side in (self.i2t, self.t2i))

    def to_dict(self) -> dict[str, Any]:
        """Plain values under the names that ``results.json`` uses."""
        record = {
            "protocol": self.protocol,
            "images": self.images,
            "captions": self.captions,
            **({"image_queries": self.image_queries} if self.image_queries < self.images else {}),
            "i2t": dict(self.i2t.figures),
            "t2i": dict(self.t2i.figures),
            "rsum": self.rsum,
        }
        if self.folds:
            record["folds"] = [fold.to_dict() for fold in self.folds]
            record["folds_std"] = {
                side: {
                    column: float(np.std([getattr(getattr(fold, side), column) for fold in self.folds], ddof=1))
                    for column in self.i2t.figures
                }
                for side in ("i2t", "t2i")
            } | {"rsum": float(np.std([fold.rsum for fold in self.folds], ddof=1))}
        return record


def summarise(ranks: Tensor) -> DirectionResult:
    """Figures of ranks from 1, (queries,) int64.

    Example:
        >>> figures = summarise(torch.tensor([1, 3, 12]))
        >>> round(figures.r1, 2), round(figures.r5, 2), figures.median_rank
        (33.33, 66.67, 3.0)
    """
    values = ranks.cpu().numpy()
    return DirectionResult({metric.name: metric.figure(values) for metric in rank_metrics()})


def check_protocol(protocol: str, images: int, image_of_caption: ArrayLike) -> None:
    """Refuse a protocol that is unknown or does not fit a gallery of N images and its M captions.

    Raises:
        UserError: in one line.

    Example:
        >>> check_protocol("full", images=2, image_of_caption=[0, 0, 1])
        >>> check_protocol("coco_1k_5fold", images=2, image_of_caption=[0, 0, 1])
        Traceback (most recent call last):
        selfalign.errors.UserError: protocol coco_1k_5fold: expected 5,000 images ...
    """
    if protocol not in PROTOCOLS:
        raise UserError(f"protocol: expected one of {', '.join(PROTOCOLS)}, got {protocol!r}")
    if protocol == "full":
        return
    counts = np.bincount(np.asarray(image_of_caption, np.int64), minlength=images)
    if images != _FOLDS * _FOLD_IMAGES or (counts != _CAPTIONS).any():
        each = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
        raise UserError(
            f"protocol {protocol}: expected {_FOLDS * _FOLD_IMAGES:,} images with {_CAPTIONS} captions each, "
            f"got {images:,} with {each}; use protocol full"
        )


def evaluate(
    tile: Tile, image_of_caption: Tensor, images: int, protocol: str = "full", processes: Processes = ALONE
) -> RetrievalResult:
    """Rank a gallery of N images under a named protocol.

    Args:
        tile: similarities of the gallery.
        image_of_caption: (M,) int64.
        images: N.
        protocol: ``full``, or ``coco_1k_5fold``: the mean of five consecutive folds of 1,000 images.
        processes: all of which call this with the same gallery and share the work.

    Raises:
        UserError: if the protocol is unknown or does not fit the gallery.

    Example:
        >>> scores = torch.eye(3)  # three images, one caption each
        >>> evaluate(lambda rows, columns: scores[rows, columns], torch.arange(3), images=3).rsum
        600.0
    """
    return evaluate_protocols(tile, image_of_caption, images, [protocol], processes)[0]


def evaluate_protocols(
    tile: Tile,
    image_of_caption: Tensor,
    images: int,
    protocols: Sequence[str],
    processes: Processes = ALONE,
    lists: AnswerLists | None = None,
) -> list[RetrievalResult]:
    """Rank a gallery under several protocols, in one pass over its similarities where they can share one.

    They can where captions stand in the order of their images.

    Args:
        tile, image_of_caption, images, processes: as of :func:`evaluate`, with its errors.
        protocols: named ones.
        lists: shown all scores, for the first answers of this gallery.
    """
    for protocol in protocols:
        check_protocol(protocol, images, image_of_caption.cpu().numpy())
    see = None if lists is None else lists.see
    order = image_of_caption.argsort(stable=True)
    if FIVE_FOLDS not in protocols or order.equal(torch.arange(len(order), device=order.device)):
        return _one_pass(tile, image_of_caption, images, protocols, processes, see)

    # Captions of one image need not stand together: those of a fold are then looked up, in a pass of their own.
    def in_order(rows: slice, columns: slice) -> Tensor:
        return tile(rows, order[columns])  # type: ignore[arg-type]

    [folds] = _one_pass(in_order, image_of_caption[order], images, [FIVE_FOLDS], processes)
    t2i = torch.empty_like(folds.ranks.t2i).scatter_(0, order.cpu(), folds.ranks.t2i)
    folds = replace(folds, ranks=Ranks(folds.ranks.i2t, t2i))
    others = _one_pass(tile, image_of_caption, images, ["full"], processes, see) if see or "full" in protocols else []
    return [folds if protocol == FIVE_FOLDS else others[0] for protocol in protocols]


def _one_pass(
    tile: Tile,
    image_of_caption: Tensor,
    images: int,
    protocols: Sequence[str],
    processes: Processes,
    see: Callable[[slice, slice, Tensor], None] | None = None,
) -> list[RetrievalResult]:
    """Of captions in the order of their images, where there are folds among the protocols."""
    areas = [_areas(protocol, images, len(image_of_caption)) for protocol in protocols]
    found = iter(ranks_of_areas(tile, image_of_caption, images, list(chain(*areas)), processes, see))
    return [
        _result(protocol, [_gallery(area, ranks) for area, ranks in zip(parts, found, strict=False)])
        for protocol, parts in zip(protocols, areas, strict=True)
    ]


def _areas(protocol: str, images: int, captions: int) -> list[Area]:
    if protocol == "full":
        return [Area(range(images), range(captions))]
    return [
        Area(range(first, first + _FOLD_IMAGES), range(_CAPTIONS * first, _CAPTIONS * (first + _FOLD_IMAGES)))
        for first in range(0, _FOLDS * _FOLD_IMAGES, _FOLD_IMAGES)
    ]


def _result(protocol: str, galleries: list[RetrievalResult]) -> RetrievalResult:
    if protocol == "full":
        return galleries[0]
    return RetrievalResult(
        protocol,
        sum(fold.images for fold in galleries),
        sum(fold.captions for fold in galleries),
        _mean([fold.i2t for fold in galleries]),
        _mean([fold.t2i for fold in galleries]),
        Ranks(torch.cat([fold.ranks.i2t for fold in galleries]), torch.cat([fold.ranks.t2i for fold in galleries])),
        tuple(galleries),
    )


def _gallery(area: Area, ranks: Ranks) -> RetrievalResult:
    return RetrievalResult(
        "full", len(area.images), len(area.captions), summarise(ranks.i2t), summarise(ranks.t2i), ranks
    )


def _mean(results: list[DirectionResult]) -> DirectionResult:
    names = results[0].figures
    return DirectionResult({name: float(np.mean([result.figures[name] for result in results])) for name in names})
