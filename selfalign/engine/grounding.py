"""A trained model on phrases with boxes: the places of the right regions among those that it chooses."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from selfalign.data.dataset import Split, open_split
from selfalign.data.entities.phrases import Phrase, read_phrases
from selfalign.data.entities.right_regions import TRUTHS, right_regions
from selfalign.data.photographs import Photos
from selfalign.data.regions.positions import open_positions
from selfalign.engine.restoring import Restored
from selfalign.errors import UserError
from selfalign.metrics.grounding import Joining, first_right, phrase_scores
from selfalign.reports.pictures.phrase_sheet import Box, GroundedPhrase

_BATCH = 64
"""Captions."""


@dataclass(frozen=True, eq=False)
class Grounding:
    """What a model made of the K phrases of a split.

    Attributes:
        phrases: whose boxes are known.
        split: of them.
        chosen: (K, 4) float32, the box of the first region, as shares of the image's width and height.
        true: of each phrase its boxes, in the same unit.
        places: (K, 4) int64, place from 1 of the best region that is right by each of ``TRUTHS``; 0 where none is, or
            where the model saw no word of the phrase.
        chances: (K, 4) float64, share of the regions that are right.
        left_out: captions and phrases that count for nothing, by reason.
        cut: phrases of which the model saw no word; they count as wrong.
    """

    phrases: tuple[Phrase, ...]
    split: Split
    chosen: np.ndarray
    true: tuple[np.ndarray, ...]
    places: np.ndarray
    chances: np.ndarray
    left_out: Counter[str]
    cut: int


@torch.inference_mode()
def ground(
    model: Restored,
    folder: Path,
    root: Path,
    split_name: str,
    *,
    joining: Joining = "mean",
    attention: bool = False,
    device: str | torch.device = "cpu",
) -> Grounding:
    """Let a model choose the regions of all phrases of a split.

    Args:
        model: in evaluation mode.
        folder: of Flickr30K Entities.
        root, split_name: the data.
        joining: of the words of a phrase.
        attention: score by the words' attention over regions, as word contrast trained it, not by similarity.
        device: of the computations.

    Raises:
        UserError: if the model's words have no regions to choose, or files do not fit.
    """
    config = model.provenance.config
    split = open_split(
        root,
        split_name,
        model.tokenizer,
        boxes=model.needs_boxes,
        pad_to=model.padded_length,
        box_unit=config["data"].get("boxes", "pixels"),
    )
    if split.features.width != model.provenance.region_width:
        raise UserError(
            f"features {split.features.path}: {split.features.width} wide, {model.source} was trained on "
            f"{model.provenance.region_width}; they are of another extraction"
        )
    temperature = _temperature(model) if attention else None
    found = read_phrases(folder, split, model.tokenizer)
    positions = split.positions or open_positions(split.files, split.features, split.box_unit)
    similarity = _Similarities(model, split, device)
    chosen, true, places, chances, cut = [], [], [], [], 0
    for phrase in found.phrases:
        row = np.array([phrase.image])
        found_boxes, sizes = positions.raw(row)
        mask = positions.mask(row)
        real = slice(None) if mask is None else mask[0]  # padding is no region to choose
        boxes = found_boxes[0][real]
        right = right_regions(boxes, phrase.boxes)
        chances.append(right.mean(axis=1))
        true.append(phrase.boxes / np.tile(sizes[0], 2))
        if not phrase.tokens:
            cut += 1
            places.append(np.zeros(len(TRUTHS), np.int64))
            chosen.append(np.zeros(4, np.float32))
            continue
        scores = phrase_scores(similarity.of(phrase)[list(phrase.tokens)][:, real], joining, temperature)
        places.append(first_right(scores, torch.from_numpy(right)).numpy())
        chosen.append(boxes[int(scores.argmax())] / np.tile(sizes[0], 2))
    return Grounding(
        found.phrases, split, np.stack(chosen), tuple(true), np.stack(places), np.stack(chances), found.left_out, cut
    )


def _temperature(model: Restored) -> float:
    words = model.provenance.config["loss"].get("words") or {}
    if not words.get("weight"):
        raise UserError(f"--attention: {model.source} was trained without word contrast, whose attention it is")
    return float(words["attention_temperature"])


class _Similarities:
    """(W, R) similarities of tokens and regions, caption after caption, encoded some at a time."""

    def __init__(self, model: Restored, split: Split, device: str | torch.device) -> None:
        self._model, self._split, self._device = model, split, device
        self._backbone = model.module.backbone.to(device)
        self._first = -1
        self._known = torch.empty(0)

    def of(self, phrase: Phrase) -> torch.Tensor:
        start = phrase.caption - phrase.caption % _BATCH
        if start != self._first:
            rows = np.arange(start, min(start + _BATCH, len(self._split.captions)))
            self._first, self._known = start, self._encoded(rows)
        return self._known[phrase.caption - start]

    def _encoded(self, rows: np.ndarray) -> torch.Tensor:
        captions = self._split.caption_batch(rows)
        images, place = np.unique(captions.image_ids.numpy(), return_inverse=True)
        words = self._backbone.encode_captions(captions.to(self._device)).concepts
        if words is None:
            raise UserError(f"{self._model.source}: its words never have the width of regions (the original VSRN)")
        regions = self._backbone.encode_images(self._split.image_batch(images).to(self._device)).concepts
        return (words @ regions[torch.from_numpy(place)].to(words.dtype).mT).float().cpu()  # (B, W, R)


def shown_phrase(found: Grounding, row: int, photos: Photos) -> GroundedPhrase | None:
    """A phrase with its photograph and boxes; ``None`` where the photograph is not there."""
    phrase = found.phrases[row]
    photo = photos.read(phrase.image)
    if photo is None:
        return None
    return GroundedPhrase(phrase.text, photo, _box(found.chosen[row]), tuple(map(_box, found.true[row])))


def _box(values: np.ndarray) -> Box:
    x1, y1, x2, y2 = values.tolist()
    return x1, y1, x2, y2
