"""Slow similarity and ranks, by sorting."""

from __future__ import annotations

import numpy as np


def similarity(
    views: np.ndarray, vectors: np.ndarray, image_context: np.ndarray, caption_context: np.ndarray
) -> np.ndarray:
    result = np.empty((len(views), len(vectors)))
    for image in range(len(views)):
        for caption in range(len(vectors)):
            best = max(float(view @ vectors[caption]) for view in views[image])
            result[image, caption] = best + float(image_context[image] @ caption_context[caption])
    return result


def ranks(scores: np.ndarray, owners: list[int]) -> tuple[list[int], list[int]]:
    """Ranks from 1; wrong answers that tie with the right one come first."""
    images, captions = scores.shape
    i2t = []
    for image in range(images):
        right = {caption for caption in range(captions) if owners[caption] == image}
        best = max(right, key=lambda caption: scores[image, caption])
        order = sorted(
            ({*range(captions)} - right) | {best}, key=lambda caption: (-scores[image, caption], caption in right)
        )
        i2t.append(order.index(best) + 1)
    t2i = []
    for caption in range(captions):
        order = sorted(range(images), key=lambda image: (-scores[image, caption], image == owners[caption]))
        t2i.append(order.index(owners[caption]) + 1)
    return i2t, t2i
