"""Chance: bootstrap over images and seeds, sign flips over images, relabelling of seeds, Holm's correction.

An image and its captions are one cluster: they hit or miss together, so whole images are drawn. Ranks are those within
the whole gallery, which stays as it is while its queries are resampled.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
_CHUNK = 2**20
"""Weights that are held at a time: draws × images."""
_MOST_RELABELLINGS = 200_000
_ROUNDING = 1e-9


@dataclass(frozen=True)
class RelabellingTest:
    """Whether the runs of two settings could as well have changed labels.

    Attributes:
        p: two-sided share of relabellings whose difference is at least as large; all are counted where they are few.
        smallest: the smallest share that so few runs can give.
    """

    p: float
    smallest: float


def image_weights(generator: np.random.Generator, draws: int, images: int) -> np.ndarray:
    """(draws, N) float64: how often each image is drawn when N are drawn with replacement."""
    chosen = generator.integers(0, images, (draws, images))
    chosen += images * np.arange(draws)[:, None]
    return np.bincount(chosen.ravel(), minlength=draws * images).reshape(draws, images).astype(np.float64)


def seed_weights(generator: np.random.Generator, draws: int, seeds: int) -> np.ndarray:
    """(draws, K) weights of K seeds in their mean: K − 1 of them are drawn with replacement.

    Drawing K, the usual way, gives the mean a spread that is too small by √((K − 1) / K): by a fifth for three seeds.
    One seed keeps its weight of 1: it tells nothing about others.
    """
    if seeds == 1:
        return np.ones((draws, 1))
    return generator.multinomial(seeds - 1, np.full(seeds, 1 / seeds), draws) / (seeds - 1)


def bootstrap(hits: Sequence[np.ndarray], captions: np.ndarray, draws: int, seed: int) -> list[np.ndarray]:
    """Recalls of resampled images and seeds; settings share the images of a draw, so that differences are paired.

    Args:
        hits: of each setting (K, N, C): of each seed and image what its image query adds to each of C / 2 figures, 1
            for a hit, then what its caption queries add.
        captions: (N,) captions of each image.
        draws: B.
        seed: decides the draws; the images drawn do not depend on the settings.

    Returns:
        of each setting (B, C + 1): the means over queries in percent, as recalls, and their sum.
    """
    images = len(captions)
    sources = np.random.SeedSequence(seed).spawn(1 + len(hits))
    of_images, *of_seeds = map(np.random.default_rng, sources)
    seeds = [seed_weights(source, draws, len(setting)) for source, setting in zip(of_seeds, hits, strict=True)]
    columns = np.concatenate([setting.transpose(1, 0, 2).reshape(images, -1) for setting in hits], axis=1)
    width = hits[0].shape[2]
    edges = np.cumsum([0, *(width * len(setting) for setting in hits)])
    found = [np.empty((draws, width + 1)) for _ in hits]
    step = max(1, _CHUNK // images)
    for start in range(0, draws, step):
        rows = slice(start, min(start + step, draws))
        weights = image_weights(of_images, rows.stop - rows.start, images)
        queries = np.stack([np.full(len(weights), float(images)), weights @ captions], axis=1).repeat(
            width // 2, axis=1
        )
        totals = weights @ columns
        for place, target in enumerate(found):
            of_seed = totals[:, edges[place] : edges[place + 1]].reshape(len(weights), -1, width)
            target[rows, :width] = 100 * np.einsum("bkc,bk->bc", of_seed, seeds[place][rows]) / queries
    for target in found:
        target[:, width] = target[:, :width].sum(axis=1)
    return found


def interval(values: np.ndarray) -> tuple[float, float]:
    """The central 95 % of draws."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def ratio_intervals(hits: np.ndarray, counts: np.ndarray, draws: int, seed: int) -> list[tuple[float, float]]:
    """95 % intervals of C recalls in percent, each of some of the queries: images are drawn with all their queries.

    Args:
        hits: (N, C) what the queries of each image add to each recall.
        counts: (N, C) how many they are.
        draws: B; those that draw no query of a recall do not count for it.
        seed: decides the draws.
    """
    generator = np.random.default_rng(np.random.SeedSequence([seed, 3]))
    step = max(1, _CHUNK // len(hits))
    found = []
    for start in range(0, draws, step):
        weights = image_weights(generator, min(step, draws - start), len(hits))
        asked = weights @ counts
        found.append(np.divide(100 * (weights @ hits), asked, out=np.full(asked.shape, np.nan), where=asked > 0))
    drawn = np.concatenate(found)
    return [interval(column[~np.isnan(column)]) for column in drawn.T]


def contributions(one: np.ndarray, other: np.ndarray, captions: np.ndarray) -> np.ndarray:
    """(N,) what each image adds to the difference in rsum of two settings, seeds averaged.

    In whole numbers, so that equal sums are equal: times N · M · K of both settings, over 100.

    Args:
        one, other: (K, N, 6) hits.
        captions: (N,) captions of each image, M in all.
    """
    difference = len(other) * one.sum(axis=0) - len(one) * other.sum(axis=0)  # (N, 6)
    return captions.sum() * difference[:, :3].sum(axis=1) + len(captions) * difference[:, 3:].sum(axis=1)


def sign_flip_p(values: np.ndarray, draws: int, seed: int) -> float:
    """Two-sided p of the sum of (N,) values if each could as well have the other sign.

    The observed signs are one of the draws, so that p is never 0.
    """
    generator = np.random.default_rng(np.random.SeedSequence([seed, 1]))
    observed, extreme = abs(values.sum()), 0
    step = max(1, _CHUNK // len(values))
    for start in range(0, draws, step):
        size = (min(step, draws - start), len(values))
        signs = 2.0 * generator.integers(0, 2, size, dtype=np.int8) - 1.0
        extreme += int((abs(signs @ values) >= observed).sum())
    return (extreme + 1) / (draws + 1)


def relabelling(one: Sequence[float], other: Sequence[float], draws: int, seed: int) -> RelabellingTest | None:
    """Test the figures of runs, one a seed, of two settings; ``None`` unless both have two."""
    if min(len(one), len(other)) < 2:
        return None
    figures = np.array([*one, *other])
    count = math.comb(len(figures), len(one))
    if count <= _MOST_RELABELLINGS:
        chosen = np.array(list(itertools.combinations(range(len(figures)), len(one))))
    else:
        generator = np.random.default_rng(np.random.SeedSequence([seed, 2]))
        chosen = generator.permuted(np.tile(np.arange(len(figures)), (draws, 1)), axis=1)[:, : len(one)]
        chosen = np.concatenate([chosen, np.arange(len(one))[None]])
    sums = figures[chosen].sum(axis=1)
    gaps = abs(sums / len(one) - (figures.sum() - sums) / len(other))
    observed = abs(np.mean(one) - np.mean(other))
    alike = 2 if len(one) == len(other) else 1  # all labels exchanged is the same split
    return RelabellingTest(float((gaps >= observed - _ROUNDING).mean()), alike / min(count, len(chosen)))


def holm(values: Sequence[float]) -> list[float]:
    """Holm's correction of p values: together they err at most as often as one would."""
    adjusted = [0.0] * len(values)
    worst = 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=lambda i: values[i])):
        worst = max(worst, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = worst
    return adjusted
