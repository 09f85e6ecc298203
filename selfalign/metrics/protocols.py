"""Named evaluation protocols: which galleries are ranked, and how their figures are combined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
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
    captions = len(image_of_caption)
    check_protocol(protocol, images, image_of_caption.cpu().numpy())
    if protocol == "full":
        return _gallery(tile, image_of_caption, range(images), range(captions), processes)
    order = image_of_caption.argsort(stable=True)
    in_order = torch.equal(order, torch.arange(captions, device=order.device))
    # Captions of one image need not stand together: those of a fold are then looked up.
    by_image: Tile = tile if in_order else lambda rows, columns: tile(rows, order[columns])  # type: ignore[arg-type]
    fold_captions = _FOLD_IMAGES * _CAPTIONS
    folds = tuple(
        _gallery(
            by_image,
            image_of_caption[order],
            range(fold * _FOLD_IMAGES, (fold + 1) * _FOLD_IMAGES),
            range(fold * fold_captions, (fold + 1) * fold_captions),
            processes,
        )
        for fold in range(_FOLDS)
    )
    t2i = torch.cat([fold.ranks.t2i for fold in folds])
    return RetrievalResult(
        protocol,
        images,
        captions,
        _mean([fold.i2t for fold in folds]),
        _mean([fold.t2i for fold in folds]),
        Ranks(torch.cat([fold.ranks.i2t for fold in folds]), torch.empty_like(t2i).scatter_(0, order.cpu(), t2i)),
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
