"""Alignment accuracy: does a word choose the region that it means?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class AlignmentAccuracy(Metric):
    """Share of object words whose most similar region, the concept level's own choice, overlaps the true box.

    Example:
        >>> metric = AlignmentAccuracy()
        >>> regions, words = torch.eye(2)[None], torch.eye(2)[None]  # each word is like the region of its number
        >>> metric.update(regions, words, torch.tensor([0]), torch.tensor([1]), torch.tensor([[False, True]]))
        >>> metric.compute()
        {'accuracy': 100.0, 'chance': 50.0, 'words': 1}
    """

    full_state_update = False
    hits: Tensor
    expected: Tensor
    words: Tensor

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.add_state("hits", default=torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("expected", default=torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("words", default=torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, regions: Tensor, words: Tensor, rows: Tensor, positions: Tensor, correct: Tensor) -> None:
        """Add K annotated words of B pairs.

        Args:
            regions: (B, R, D), unit length.
            words: (B, W, D), unit length.
            rows: (K,) pair of each annotated word.
            positions: (K,) its position in the caption.
            correct: (K, R) bool, regions that overlap a true box of the word.
        """
        chosen = (regions[rows] @ words[rows, positions][..., None]).squeeze(-1).argmax(dim=-1)  # (K,)
        self.hits += correct.gather(1, chosen[:, None]).sum()
        self.expected += correct.double().mean(dim=1).sum()
        self.words += len(rows)

    def compute(self) -> dict[str, float]:
        """Figures over all annotated words; empty where there were none.

        ``accuracy``: percent of words whose most similar region overlaps a true box. ``chance``: what a region drawn
        at random would reach, in percent. ``words``: annotated words.
        """
        words = int(self.words)
        if words == 0:
            return {}
        return {
            "accuracy": 100 * float(self.hits) / words,
            "chance": 100 * float(self.expected) / words,
            "words": words,
        }
