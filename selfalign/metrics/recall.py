"""Cross-modal recall as a metric that collects embeddings by id."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from selfalign.errors import UserError
from selfalign.functional.ranks import embedding_tile
from selfalign.metrics.protocols import evaluate
from selfalign.processes.exchange import current
from selfalign.structures import CaptionEmbedding, ImageEmbedding


class CrossModalRecall(Metric):
    """R@K of a gallery: the share of queries with at least one right answer in the first K, in percent.

    Rows carry ids: processes show theirs in any order and may repeat some; repeats are dropped before anything is
    counted, and the totals must be those of :meth:`reset_gallery`. The processes exchange their rows once, and share
    out the queries. Every process must have shown at least one image and one caption.

    Attributes:
        is_part: whether only a part of the gallery is shown, as under Lightning's ``limit_val_batches``.
        captions_shown: (M,) ids of the captions that :meth:`embeddings` has given.
        size: images and captions that it has given.
        computed_on: the gallery of all processes that :meth:`compute` has just seen, for those who show examples of it;
            large, so to be set to ``None`` by who calls ``compute``. ``None`` for a part.
    """

    full_state_update = False
    image_ids: list[Tensor]
    views: list[Tensor]
    image_context: list[Tensor]
    caption_ids: list[Tensor]
    owners: list[Tensor]
    vectors: list[Tensor]
    caption_context: list[Tensor]
    captions_shown: Tensor

    def __init__(self, **settings: Any) -> None:
        super().__init__(sync_on_compute=False, **settings)  # embeddings() exchanges the rows
        for name in (
            "image_ids",
            "views",
            "image_context",
            "caption_ids",
            "owners",
            "vectors",
            "caption_context",
        ):
            self.add_state(name, default=[], dist_reduce_fx=None)
        self.expected = (0, 0)
        self.is_part = False
        self.size = (0, 0)
        self.computed_on: tuple[ImageEmbedding, CaptionEmbedding] | None = None

    def reset_gallery(self, images: int, captions: int, *, part: bool = False) -> None:
        """Forget everything and expect a gallery of that many images and captions, or a ``part`` of it."""
        self.reset()
        self.expected = (images, captions)
        self.is_part = part

    def update(self, ids: Tensor, embedding: ImageEmbedding | CaptionEmbedding, owners: Tensor | None = None) -> None:
        """Add rows of the gallery.

        Args:
            ids: (B,) row in the gallery.
            embedding: of B images, or of B captions.
            owners: (B,) image that each caption describes; captions only.
        """
        if isinstance(embedding, ImageEmbedding):
            self.image_ids.append(ids)
            self.views.append(embedding.views)
            if embedding.context is not None:
                self.image_context.append(embedding.context)
            return
        if owners is None:
            raise ValueError("owners: expected the image of every caption, got None")
        self.caption_ids.append(ids)
        self.owners.append(owners)
        self.vectors.append(embedding.vector)
        if embedding.context is not None:
            self.caption_context.append(embedding.context)

    def embeddings(self) -> tuple[ImageEmbedding, CaptionEmbedding, Tensor]:
        """The gallery of all processes in order of ids: images, captions, and the image of each caption (M,).

        Of a part of a gallery, images without captions in it are left out, and captions without their image.

        Raises:
            UserError: if a part has no pair at all.
        """
        images, image_rows = _first_of_each(_all(self.image_ids))
        captions, caption_rows = _first_of_each(_all(self.caption_ids))
        owners = _all(self.owners)[caption_rows]
        if self.is_part:
            has_image, has_caption = torch.isin(owners, images), torch.isin(images, owners)
            if not bool(has_image.any()):
                raise UserError("evaluation: the part of the split that was encoded holds no caption with its image")
            image_rows, caption_rows, self.captions_shown = (
                image_rows[has_caption], caption_rows[has_image], captions[has_image]
            )  # fmt: skip
            return *self._of(image_rows, caption_rows), torch.searchsorted(images[has_caption], owners[has_image])
        self.captions_shown = captions
        for name, found, expected in zip(("images", "captions"), (images, captions), self.expected, strict=True):
            if not torch.equal(found, torch.arange(expected, device=found.device)):
                raise ValueError(f"{name}: expected ids 0 to {expected - 1} once each, got {len(found)} of them")
        return *self._of(image_rows, caption_rows), owners

    def _of(self, image_rows: Tensor, caption_rows: Tensor) -> tuple[ImageEmbedding, CaptionEmbedding]:
        self.size = (len(image_rows), len(caption_rows))
        return (
            ImageEmbedding(_all(self.views)[image_rows], _optional(self.image_context, image_rows)),
            CaptionEmbedding(_all(self.vectors)[caption_rows], _optional(self.caption_context, caption_rows)),
        )

    def compute(self) -> dict[str, float]:
        """Figures of the gallery under the protocol ``full``: ``i2t_r1`` … ``t2i_mean_rank`` and ``rsum``."""
        image, caption, owners = self.embeddings()
        self.computed_on = None if self.is_part else (image, caption)
        result = evaluate(embedding_tile(image, caption), owners, len(image.views), processes=current())
        sides = {"i2t": result.i2t, "t2i": result.t2i}
        figures = {f"{name}_{column}": value for name, side in sides.items() for column, value in side.figures.items()}
        return figures | {"rsum": result.rsum}


def _first_of_each(ids: Tensor) -> tuple[Tensor, Tensor]:
    """Sorted distinct ids and one row of each."""
    distinct, inverse = ids.unique(return_inverse=True)
    rows = torch.full_like(distinct, len(ids))
    rows.scatter_reduce_(0, inverse, torch.arange(len(ids), device=ids.device), reduce="amin")
    return distinct, rows


def _all(parts: list[Tensor] | Tensor) -> Tensor:
    return current().gather(dim_zero_cat(parts))


def _optional(parts: list[Tensor] | Tensor, rows: Tensor) -> Tensor | None:
    return _all(parts)[rows] if len(parts) else None
