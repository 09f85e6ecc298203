"""ECCV Caption's own code and data: the package ``eccv_caption`` (S. Chun et al., ECCV 2022; MIT), an extra."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from selfalign.errors import UserError
from selfalign.runs.results import DIRECTIONS

DEPTHS = (1, 5, 10)
RECALLED = ("cxc", "coco_1k", "coco_5k")
"""Ground truths with recalls at ``DEPTHS``."""
EXTENDED = "eccv"
MEASURES = {"map_at_r": "eccv_map_at_r", "r_precision": "eccv_rprecision", "r1": "eccv_r1"}
"""The figures of ECCV Caption, ours and the package's name of each."""
_PACKAGE = "eccv_caption"

Figures = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Percent, by ground truth, direction and name, as ``figures["cxc"]["i2t"]["r5"]``."""


@dataclass(frozen=True, eq=False)
class Lists:
    """Answers of every query, best first, all by COCO's ids.

    Attributes:
        i2t: captions of each image.
        t2i: images of each caption.
    """

    i2t: Mapping[int, Sequence[int]]
    t2i: Mapping[int, Sequence[int]]


class Official:
    """The package.

    Attributes:
        version: of the package.
        image_ids: (5000) of the test images, in Karpathy's order.
        caption_ids: the five of each of them, ascending.
        right: of ECCV Caption, by direction: the right answers of each query.
        queries: how many there are, by ground truth and direction.
    """

    def __init__(self, metrics: Any, version: str) -> None:
        self._metrics = metrics
        self.version = version
        flat = metrics.coco_ids.tolist()
        self.caption_ids = [flat[start : start + 5] for start in range(0, len(flat), 5)]
        owner = metrics.coco_gts["t2i"]
        self.image_ids = [owner[captions[0]][0] for captions in self.caption_ids]
        self.right: dict[str, dict[int, list[int]]] = {side: metrics.eccv_gts[side] for side in DIRECTIONS}
        truths = {EXTENDED: metrics.eccv_gts, "cxc": metrics.cxc_gts}
        truths |= dict.fromkeys(("coco_1k", "coco_5k"), metrics.coco_gts)
        self.queries = {name: {side: len(truth[side]) for side in DIRECTIONS} for name, truth in truths.items()}

    @classmethod
    def load(cls) -> Official:
        """Import the package.

        Raises:
            UserError: if it is not installed.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that ujson, a faster json, is missing
                from eccv_caption import Metrics
        except ImportError as error:
            raise UserError("eccv: eccv_caption is not installed; pip install 'selfalign[eccv]'") from error
        return cls(Metrics(), metadata.version(_PACKAGE))

    def figures(self, lists: Lists, recalled: Sequence[str] = RECALLED) -> Figures:
        """What the package finds, in percent.

        Args:
            lists: of all 5,000 images and 25,000 captions. Those that COCO 1K looks at need ten answers of the query's
                own fold each: the package takes what there is for the first ten, and breaks where there is none.
            recalled: the ground truths to recall, beside ECCV Caption's figures.
        """
        wanted = (*MEASURES.values(), *(f"{name}_recalls" for name in recalled))
        with contextlib.redirect_stderr(io.StringIO()):  # a progress bar that cannot be switched off
            found = self._metrics.compute_all_metrics(lists.i2t, lists.t2i, target_metrics=wanted, Ks=DEPTHS)
        figures = {
            name: {
                side: {f"r{depth}": 100 * float(found[f"{name}_r{depth}"][side]) for depth in DEPTHS}
                for side in DIRECTIONS
            }
            for name in recalled
        }
        extended = {
            side: {ours: 100 * float(found[theirs][side]) for ours, theirs in MEASURES.items()} for side in DIRECTIONS
        }
        return {EXTENDED: extended, **figures}
