"""Alignment accuracy: does a word choose the region that it means?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from selfalign.functional.masking import among_real
from selfalign.structures import AlignmentBatch

_COUNTED = ("overlap", "pointing", "phrase")


class AlignmentAccuracy(Metric):
    """Share of object words whose most similar region, the concept level's own choice, is on the object.

    Example:
        >>> AlignmentAccuracy().compute()  # before any word
        {}
    """

    full_state_update = False
    hits: Tensor
    expected: Tensor
    words: Tensor

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name in ("hits", "expected"):
            self.add_state(name, default=torch.zeros(len(_COUNTED), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("words", default=torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, regions: Tensor, words: Tensor, batch: AlignmentBatch) -> None:
        """Add the K annotated words of B pairs.

        Args:
            regions: (B, R, D), unit length.
            words: (B, W, D), unit length.
            batch: which words are annotated, and the regions that are right for them.
        """
        similarity = (words @ regions.to(words.dtype).mT)[batch.rows]  # (K, W, R)
        of_phrase = (similarity * batch.phrases[..., None]).sum(dim=1)  # (K, R)
        found = torch.stack([similarity[torch.arange(len(batch.rows)), batch.words], of_phrase], dim=1)  # (K, 2, R)
        mask = None if batch.pairs.images.mask is None else batch.pairs.images.mask[batch.rows]
        by_word, by_phrase = among_real(found, mask).argmax(dim=-1).unbind(dim=1)  # (K,)
        regions_of_each = batch.correct.shape[1] if mask is None else mask.sum(dim=1)
        for place, (chosen, right) in enumerate(
            ((by_word, batch.correct), (by_word, batch.centred), (by_phrase, batch.correct))
        ):
            self.hits[place] += right.gather(1, chosen[:, None]).sum()
            self.expected[place] += (right.double().sum(dim=1) / regions_of_each).sum()
        self.words += len(batch.rows)

    def compute(self) -> dict[str, float]:
        """Figures over all annotated words; empty where there were none.

        ``accuracy``: percent of words whose most similar region overlaps a true box by half (intersection over union).
        ``pointing``: percent of words whose most similar region has its centre in a true box. ``phrase``: as
        ``accuracy``, the region chosen by the sum of the similarities of the word and of what is said of it before it.
        ``chance``, ``pointing_chance``: what a region drawn at random would reach. ``words``: annotated words.
        """
        words = int(self.words)
        if words == 0:
            return {}
        overlap, pointing, phrase = (100 * float(hits) / words for hits in self.hits)
        chance, pointing_chance, _ = (100 * float(expected) / words for expected in self.expected)
        return {
            "accuracy": overlap,
            "chance": chance,
            "words": words,
            "pointing": pointing,
            "pointing_chance": pointing_chance,
            "phrase": phrase,
        }
