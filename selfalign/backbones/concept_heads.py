"""Heads of the concept level: what the word loss compares where it does not share the towers' projections."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from selfalign.functional.masking import RealRows

Concepts = Literal["shared", "linear", "convolution"]
"""Where words and regions of the concept level come from: the towers' own first projections, as published; linear maps
of raw regions and of the text encoder's words; or a convolution over word vectors that have seen no neighbour."""


class WordConvolution(nn.Module):
    """A word and its two neighbours → the concept level.

    A vector that has seen the whole caption can name any region; one that has seen nothing does not know "a red ball"
    from "a blue ball".

    Args:
        inputs: width of the word vectors.
        width: D.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(inputs, width, kernel_size=3, padding=1)

    def forward(self, words: Tensor, rows: RealRows) -> Tensor:
        """(K, D) from the (K, E) ``words`` of the ``rows`` that count; beside a caption there are zeros."""
        padded = rows.put(words)  # (B, W, E)
        return rows.take(self.convolution(padded.mT).mT)
