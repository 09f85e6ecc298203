"""How much memory and time a run takes, as far as its data tell."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from selfalign.backbones.bert import read_bert_settings
from selfalign.data.checks.inspection import Inspection
from selfalign.data.regions.features import RegionFeatures
from selfalign.data.text.tokenizers import CaptionTokenizer
from selfalign.engine.building import Config, rebuild_module
from selfalign.runs.checkpoint import Provenance

_READ_BYTES = 256 * 2**20
_FLOAT = 4
_COPIES_TRAINED = 4
_CONTEXT = 2
"""The context part of a joint embedding is two vectors."""


def estimates(config: Config, inspection: Inspection, tokenizer: CaptionTokenizer | None) -> Iterator[tuple[str, str]]:
    """Names and lines of a report; nothing for what could not be opened.

    Args:
        config: of train.py, plain values.
        inspection: of its data.
        tokenizer: of its model; ``None`` where it could not be built.
    """
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
    if tokenizer is not None and (model := _model_bytes(config, train.width, tokenizer)) is not None:
        yield "model", f"{_size(model)} with gradients and Adam's state (fp32), activations not counted"
    texts = {role: len(split.texts or ()) for role, split in opened.items()}
    gallery = _gallery_bytes(config, features["test"].images, texts["test"])
    yield "test embeddings", f"{_size(gallery)} ({config['backbone']['width']} wide, fp32)"
    captions = texts["train"]
    batches = data["batch_size"] * config["trainer"]["accumulate_grad_batches"]
    steps = training["epochs"] * -(-captions // batches)
    yield "steps", f"{steps:,} in {training['epochs']} epochs; their own time is the device's and not estimated"
    rate = _reading_rate(train)
    # An epoch of all captions reads every image once for each of its captions.
    minutes = training["epochs"] * captions * train.image_bytes / rate / 60
    yield (
        "reading",
        f"{_size(int(rate))}/s measured on random images, so at least {minutes:,.1f} minutes of the training "
        "(the system may keep files in memory)",
    )


def _model_bytes(config: Config, region_width: int, tokenizer: CaptionTokenizer) -> int | None:
    """Parameters, and of trained ones gradient and two moments; ``None`` where the size of BERT is not at hand."""
    bert: Config | None = None
    settings = config["backbone"].get("bert")
    if settings is not None:
        if settings["source"] is None:
            bert = {"model_type": "bert", **settings["scratch"], "vocab_size": tokenizer.vocabulary_size}
            del bert["vocabulary_size"]
        elif Path(settings["source"]).expanduser().is_dir():
            bert = read_bert_settings(Path(settings["source"]).expanduser())
        else:
            return None
    with torch.device("meta"):  # sizes without memory
        module, _ = rebuild_module(Provenance(config, region_width, tokenizer.state(), bert))
    return sum(
        values.numel() * _FLOAT * (_COPIES_TRAINED if values.requires_grad else 1) for values in module.parameters()
    )


def _gallery_bytes(config: Config, images: int, captions: int) -> int:
    """Joint embeddings of the test split."""
    width, loss = config["backbone"]["width"], config["loss"]
    views = config["backbone"].get("views", 1)
    context = _CONTEXT * width if loss["context"]["weight"] else 0
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
