"""The two-tower contract: images and captions never see each other before the similarity."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor, nn

from selfalign.functional.similarity import pair_similarity
from selfalign.structures import (
    CaptionBatch,
    CaptionEmbedding,
    CaptionEncoding,
    ImageBatch,
    ImageEmbedding,
    ImageEncoding,
)

Padding = Literal["masked", "paper"]
Towers = Literal["selfalign", "original"]


class TwoTower(nn.Module):
    """An image tower and a text tower whose outputs meet in a dot product only; subclasses build them.

    Args:
        padding: ``"masked"``: only real words count, so an embedding never depends on its batch neighbours.
            ``"paper"``: means, BatchNorm and context keys include padding, as the released code does
            (METHOD section 8); for reproducing published checkpoints.
        towers: ``"original"``: exactly the base network; ``"selfalign"``: with the changes of METHOD section 4.
        context: build the context head of METHOD section 5; similarity then has its context part.
    """

    width: int
    image_tower: nn.Module
    text_tower: nn.Module

    def __init__(self, *, padding: Padding, towers: Towers, context: bool) -> None:
        super().__init__()
        for name, value, allowed in (
            ("padding", padding, get_args(Padding)),
            ("towers", towers, get_args(Towers)),
        ):
            if value not in allowed:
                raise ValueError(f"{name}: expected one of {', '.join(allowed)}, got {value!r}")
        if context and towers == "original":
            raise ValueError("towers: expected 'selfalign' for a context head, got 'original'")
        self.padding = padding
        self.towers = towers
        self.has_context = context

    def countable(self, mask: Tensor) -> Tensor | None:
        """The mask (B, W) of words that means and statistics count, ``None`` for all of them."""
        return mask if self.padding == "masked" else None

    def encode_images(self, batch: ImageBatch) -> ImageEncoding:
        """Image tower of B images."""
        return self.image_tower(batch)

    def encode_captions(self, batch: CaptionBatch) -> CaptionEncoding:
        """Text tower of B captions."""
        return self.text_tower(batch, self.countable(batch.mask))

    @staticmethod
    def similarity(image: ImageEmbedding, caption: CaptionEmbedding) -> Tensor:
        """(N, M) similarities, for the ranking loss and for retrieval alike."""
        return pair_similarity(image, caption)
