"""One image of an index with a sentence: the region that each word chose, and where it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from selfalign.data.layout import find_split
from selfalign.data.ownership import open_features
from selfalign.data.regions.positions import positions_at_hand
from selfalign.errors import UserError
from selfalign.gallery.index import Index
from selfalign.retriever import Retriever

_SAME = 1e-3
"""Vectors of one image on two devices differ by a hundredth of this, those of two images by a hundred times as much."""


@dataclass(frozen=True)
class PlacedWord:
    """A word of a sentence and the region that it chose.

    Attributes:
        word: as it stands in the sentence.
        region: number of it.
        similarity: of the two.
        box: x1, y1, x2, y2 as shares of the image's width and height; ``None`` where the data has no boxes.
    """

    word: str
    region: int
    similarity: float
    box: tuple[float, float, float, float] | None


class CloserLook:
    """Reads the regions of single images where they were when the index was made.

    Args:
        index: of the images.
        model: that made it.
        data: folder of the features; ``None`` for where it was.

    Raises:
        UserError: if it is not there, or does not fit the index.
    """

    def __init__(self, index: Index, model: Retriever, data: Path | None = None) -> None:
        record = index.record
        root = Path(record.data) if data is None else data
        self._index, self._model, self._root = index, model, root
        self._source = model.image_source(root, split=record.split, box_unit=record.box_unit)
        if self._source.count != record.images:
            raise UserError(f"data {root}: {self._source.count:,} images, the index has {record.images:,}")
        files = find_split(root, record.split, captions=False)
        features = open_features(files, record.captions or None).features
        self._boxes = positions_at_hand(files, features, record.box_unit)

    def words(self, row: int, sentence: str) -> tuple[PlacedWord, ...] | None:
        """What the words of a sentence chose in an image; ``None`` of a model whose words choose nothing.

        Raises:
            UserError: if the image is not the one that was indexed.
        """
        self._require_indexed(row)
        rows = np.array([row], np.int64)
        choices = self._model.word_choices(sentence, self._source.batch(rows))
        if choices is None:
            return None
        places = None
        if self._boxes is not None:
            boxes, sizes = self._boxes.raw(rows)
            places = (boxes / np.tile(sizes, 2)[:, None])[0].clip(0, 1).tolist()  # (R, 4)
        return tuple(
            PlacedWord(
                choice.word,
                choice.region,
                choice.similarity,
                None if places is None else tuple(places[choice.region]),
            )
            for choice in choices
        )

    def _require_indexed(self, row: int) -> None:
        """Refuse data that have changed since: the words would speak of another image."""
        now, then = self._model.encode_rows(self._source, range(row, row + 1)), self._index.vectors_of_image(row)
        for one, other in zip(now.parts, then.parts, strict=True):
            if not torch.allclose(one.views, other.views, rtol=0, atol=_SAME):  # type: ignore[union-attr]
                raise UserError(f"data {self._root}: image {row} is not the one that was indexed; make the index again")
