"""Figures of phrases and regions: by type of phrase, against any true box and against the box around all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from selfalign.reports.columns import columns
from selfalign.reports.comparison.resampling import ratio_intervals

DEPTHS = (1, 5, 10)
TRUTHS = {"any": "any true box", "union": "the box around all true boxes"}
ALL = "all"
TYPES = ("people", "clothing", "bodyparts", "animals", "vehicles", "instruments", "scene", "other")
"""Of Flickr30K Entities, in its authors' order; others come after them."""
_DRAWS = 2000


@dataclass(frozen=True)
class PhraseFigures:
    """Figures of some phrases in percent, by name.

    Attributes:
        phrases: how many.
        figures: ``pointing_any``, ``r1_any``, ``r5_any``, ``r10_any``, ``upper_any`` (some region overlaps by half),
            ``chance_any`` and ``pointing_chance_any`` of a region drawn at random, and the same of ``union``.
        intervals: 95 % bootstrap intervals over images of those that are no chances.
    """

    phrases: int
    figures: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]


def grounding_figures(
    places: np.ndarray, chances: np.ndarray, images: np.ndarray, types: Sequence[tuple[str, ...]]
) -> dict[str, PhraseFigures]:
    """Figures of all K phrases and of each type; a phrase of two types counts in both, and once in all.

    Args:
        places, chances: (K, 4), of :class:`selfalign.engine.grounding.Grounding`.
        images: (K,) image of each, numbered from 0; it is drawn with all its phrases.
        types: of each.
    """
    known = dict.fromkeys(kind for own in types for kind in own)
    order = [ALL, *(kind for kind in TYPES if kind in known), *sorted(kind for kind in known if kind not in TYPES)]
    found = {}
    for kind in order:
        mask = np.array([kind == ALL or kind in own for own in types])
        found[kind] = _figures(places[mask], chances[mask], images[mask])
    return found


def _figures(places: np.ndarray, chances: np.ndarray, images: np.ndarray) -> PhraseFigures:
    hits: dict[str, np.ndarray] = {}
    shares: dict[str, float] = {}
    for number, truth in enumerate(TRUTHS):
        overlap, point = places[:, number], places[:, len(TRUTHS) + number]
        hits[f"pointing_{truth}"] = point == 1
        for depth in DEPTHS:
            hits[f"r{depth}_{truth}"] = (overlap > 0) & (overlap <= depth)
        hits[f"upper_{truth}"] = chances[:, number] > 0
        shares[f"chance_{truth}"] = 100 * float(chances[:, number].mean())
        shares[f"pointing_chance_{truth}"] = 100 * float(chances[:, len(TRUTHS) + number].mean())
    count = int(images.max()) + 1
    sums = np.stack([np.bincount(images, weights=hit, minlength=count) for hit in hits.values()], axis=1)
    asked = np.repeat(np.bincount(images, minlength=count)[:, None], len(hits), axis=1)
    intervals = ratio_intervals(sums, asked, _DRAWS, 0)
    figures = {name: 100 * float(hit.mean()) for name, hit in hits.items()}
    return PhraseFigures(len(places), figures | shares, dict(zip(hits, intervals, strict=True)))


def grounding_table(figures: Mapping[str, PhraseFigures], how: Mapping[str, Any]) -> str:
    """For a terminal.

    Args:
        figures: by type.
        how: ``split``, ``images``, ``joining``, ``scores``, ``left_out`` and ``cut``, said above and below them.
    """
    lines = [
        f"{how['split']}: {figures[ALL].phrases:,} phrases with boxes in {how['images']:,} images; a phrase chooses by "
        f"the {how['joining']} over its words of {how['scores']}"
    ]
    for truth, words in TRUTHS.items():
        header = ("phrases of", "phrases", "pointing", *(f"R@{depth}" for depth in DEPTHS), "possible", "chance R@1")
        rows = [
            (kind, f"{one.phrases:,}", *(f"{one.figures[f'{name}_{truth}']:.1f}" for name in _SHOWN))
            for kind, one in figures.items()
        ]
        lines += ["", f"against {words}:", *columns([header, *rows])]
        low, high = figures[ALL].intervals[f"r1_{truth}"]
        below, above = figures[ALL].intervals[f"pointing_{truth}"]
        lines.append(f"95 % over images: R@1 {low:.1f} to {high:.1f}, pointing {below:.1f} to {above:.1f}")
    lines += ["", "R@K: one of the first K regions overlaps by half; pointing: the first one's centre lies in it."]
    left_out = [f"{count:,} {what}" for what, count in how["left_out"].items()]
    if left_out:
        lines.append(f"left out: {', '.join(left_out)}.")
    if how["cut"]:
        lines.append(f"{how['cut']:,} phrases lie beyond what the model reads of a caption; they count as wrong.")
    return "\n".join(lines)


_SHOWN = ("pointing", *(f"r{depth}" for depth in DEPTHS), "upper", "chance")
