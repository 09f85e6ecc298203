"""How much memory and time a run takes, as far as its data tell."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from selfalign.building import Config
from selfalign.data.features import CAPTIONS_PER_IMAGE, RegionFeatures
from selfalign.data.inspection import Inspection

_READ_BYTES = 256 * 2**20
_FLOAT = 4
_CONTEXT = 2
"""The context part of a joint embedding is two vectors."""


def estimates(config: Config, inspection: Inspection) -> Iterator[tuple[str, str]]:
    """Names and lines of a report; nothing for what could not be opened."""
    data, training = config["data"], config["training"]
    opened = {
        role: split
        for role in ("train", "val", "test")
        if (split := inspection.splits.get(data[f"{role}_split"])) is not None and split.features is not None
    }
    features = {role: split.features for role, split in opened.items() if split.features is not None}
    if len(features) < 3:
        return
    sizes = ", ".join(f"{data[f'{role}_split']} {_size(found.bytes)}" for role, found in features.items())
    yield "features on disk", f"{sizes}; they stay there"
    train = features["train"]
    batch = data["batch_size"] * train.regions * train.width * _FLOAT
    yield "a batch", f"{_size(batch)} of regions ({data['batch_size']} images, fp32)"
    gallery = _gallery_bytes(config, features["test"].images)
    yield "test embeddings", f"{_size(gallery)} ({config['backbone']['width']} wide, fp32)"
    captions = train.images * CAPTIONS_PER_IMAGE
    steps = training["epochs"] * -(-captions // data["batch_size"])
    yield "steps", f"{steps:,} in {training['epochs']} epochs; their own time is the device's and not estimated"
    rate = _reading_rate(train)
    # An epoch of all captions reads every image five times, once for each of its captions.
    minutes = training["epochs"] * CAPTIONS_PER_IMAGE * train.bytes / rate / 60
    yield (
        "reading",
        f"{_size(int(rate))}/s measured on random images, so at least {minutes:,.1f} minutes of the training "
        "(the system may keep files in memory)",
    )


def _gallery_bytes(config: Config, images: int) -> int:
    """Joint embeddings of the test split."""
    width, loss = config["backbone"]["width"], config["loss"]
    views = config["backbone"].get("views", 1)
    context = _CONTEXT * width if loss["context"]["weight"] else 0
    captions = images * CAPTIONS_PER_IMAGE
    return _FLOAT * (images * (views * width + context) + captions * (width + context))


def _reading_rate(features: RegionFeatures) -> float:
    """Bytes a second of random images, over a second of reading at most."""
    random = np.random.default_rng(0)
    images = random.permutation(features.images)[: max(1, _READ_BYTES * features.images // features.bytes)]
    start = time.perf_counter()
    read = 0
    for chunk in np.array_split(images, max(1, len(images) // 64)):
        read += features.rows(chunk).nbytes
        if time.perf_counter() - start > 1.0:
            break
    return read / (time.perf_counter() - start)


def _size(count: int) -> str:
    return f"{count / 2**30:,.1f} GB" if count >= 2**30 else f"{count / 2**20:,.1f} MB"
