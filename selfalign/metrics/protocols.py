"""Named evaluation protocols: which galleries are ranked, and how their figures are combined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from selfalign.errors import UserError
from selfalign.functional.ranks import Tile, retrieval_ranks
from selfalign.metrics.rank_metrics import rank_metrics
from selfalign.processes.exchange import ALONE, Processes
from selfalign.structures import Ranks

PROTOCOLS = ("full", "coco_1k_5fold")
PART = "part"
"""No protocol: figures of a part of a split compare with nothing."""
_FOLDS = 5
_FOLD_IMAGES = 1000


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
        images, captions: size of the whole gallery.
        i2t, t2i: image → text and text → image; means over the folds where there are any.
        ranks: of every query; those of folds one after the other, each within its own gallery.
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
    def rsum(self) -> float:
        """Sum of the six recalls, 600 at most."""
        return sum(side.r1 + side.r5 + side.r10 for side in (self.i2t, self.t2i))

    def to_dict(self) -> dict[str, Any]:
        """Plain values under the names that ``results.json`` uses."""
        record = {
            "protocol": self.protocol,
            "images": self.images,
            "captions": self.captions,
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


def check_protocol(protocol: str, images: int, captions: int) -> None:
    """Refuse a protocol that is unknown or does not fit a gallery of N images and M captions.

    Raises:
        UserError: in one line.

    Example:
        >>> check_protocol("full", images=1000, captions=5000)
        >>> check_protocol("coco_1k_5fold", images=1000, captions=5000)
        Traceback (most recent call last):
        selfalign.errors.UserError: protocol coco_1k_5fold: expected 5000 images ...
    """
    if protocol not in PROTOCOLS:
        raise UserError(f"protocol: expected one of {', '.join(PROTOCOLS)}, got {protocol!r}")
    if protocol != "full" and (images != _FOLDS * _FOLD_IMAGES or captions % images):
        raise UserError(
            f"protocol {protocol}: expected {_FOLDS * _FOLD_IMAGES} images with equally many captions each, "
            f"got {images} with {captions}; use protocol full"
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
    captions = len(image_of_caption)
    check_protocol(protocol, images, captions)
    if protocol == "full":
        return _gallery(tile, image_of_caption, range(images), range(captions), processes)
    per_image = captions // images
    folds = tuple(
        _gallery(
            tile,
            image_of_caption,
            range(first, first + _FOLD_IMAGES),
            range(first * per_image, (first + _FOLD_IMAGES) * per_image),
            processes,
        )
        for first in range(0, images, _FOLD_IMAGES)
    )
    return RetrievalResult(
        protocol,
        images,
        captions,
        _mean([fold.i2t for fold in folds]),
        _mean([fold.t2i for fold in folds]),
        Ranks(*(torch.cat([getattr(fold.ranks, side) for fold in folds]) for side in ("i2t", "t2i"))),
        folds,
    )


def _gallery(
    tile: Tile, image_of_caption: Tensor, images: range, captions: range, processes: Processes
) -> RetrievalResult:
    ranks = retrieval_ranks(tile, image_of_caption, images, captions, processes)
    return RetrievalResult("full", len(images), len(captions), summarise(ranks.i2t), summarise(ranks.t2i), ranks)


def _mean(results: list[DirectionResult]) -> DirectionResult:
    names = results[0].figures
    return DirectionResult({name: float(np.mean([result.figures[name] for result in results])) for name in names})
