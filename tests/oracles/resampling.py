"""Slow resampling: plain loops over draws, images and signs."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np


def recalls(hits: np.ndarray, captions: np.ndarray, images: np.ndarray, seeds: np.ndarray) -> list[float]:
    """Six recalls and their sum of (K, N, 6) hits when image i counts ``images[i]`` times and seed k ``seeds[k]``."""
    found = []
    for column in range(6):
        total = 0.0
        for seed in range(len(hits)):
            right = queries = 0.0
            for image in range(len(captions)):
                right += images[image] * hits[seed, image, column]
                queries += images[image] * (1 if column < 3 else captions[image])
            total += seeds[seed] * 100 * right / queries
        found.append(total)
    return [*found, sum(found)]


def exact_sign_flip_p(values: list[int]) -> float:
    """Share of all sign patterns whose sum is at least as far from 0."""
    observed = abs(sum(values))
    patterns = itertools.product((1, -1), repeat=len(values))
    sums = [abs(sum(sign * value for sign, value in zip(pattern, values, strict=True))) for pattern in patterns]
    return sum(one >= observed for one in sums) / len(sums)


def rsum_share(one: np.ndarray, other: np.ndarray, captions: np.ndarray, image: int) -> Fraction:
    """What an image adds to the difference in rsum of two settings of (K, N, 6) hits."""
    total = Fraction(0)
    for column in range(6):
        queries = len(captions) if column < 3 else int(captions.sum())
        for side, sign in ((one, 1), (other, -1)):
            mean = Fraction(int(side[:, image, column].sum()), len(side))
            total += sign * 100 * mean / queries
    return total
