"""The two-tower contract: images and captions never see each other before the similarity."""

from __future__ import annotations

from typing import Any, Literal, get_args

from torch import Tensor, nn

from selfalign.errors import UserError
from selfalign.functional.masking import RealRows
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


def require_one_of(name: str, value: str, choices: Any) -> None:
    """Refuse a ``value`` that is none of the ``choices`` of a ``Literal``.

    Raises:
        ValueError: naming it.
    """
    if value not in get_args(choices):
        raise ValueError(f"{name}: expected one of {', '.join(get_args(choices))}, got {value!r}")


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
        require_one_of("padding", padding, Padding)
        require_one_of("towers", towers, Towers)
        if context and towers == "original":
            raise ValueError("towers: expected 'selfalign' for a context head, got 'original'")
        self.padding = padding
        self.towers = towers
        self.has_context = context

    def encode_images(self, batch: ImageBatch) -> ImageEncoding:
        """Image tower of B images.

        Raises:
            UserError: if images have different numbers of regions and the tower knows of no mask.
        """
        encoding = self.image_tower(batch)
        if batch.mask is not None and encoding.mask is None:
            raise UserError(
                f"backbone: {type(self.image_tower).__name__} takes padding for regions, and the images of these data "
                "have different numbers of regions; see ImageBatch.mask, or extract as many of every image"
            )
        return encoding

    def encode_captions(self, batch: CaptionBatch) -> CaptionEncoding:
        """Text tower of B captions, which is given the words that means and statistics count.

        What has no size that a compiler knows beforehand is made here, outside of a tower that is compiled.
        """
        countable = batch.mask if self.padding == "masked" else None
        return self.text_tower(batch, RealRows(batch.tokens.shape, countable, batch.counts))

    @staticmethod
    def similarity(image: ImageEmbedding, caption: CaptionEmbedding) -> Tensor:
        """(N, M) similarities, for the ranking loss and for retrieval alike."""
        return pair_similarity(image, caption)
