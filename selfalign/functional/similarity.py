"""The similarity of retrieval and of the ranking loss (METHOD section 6): one function for both."""

from __future__ import annotations

import torch
from torch import Tensor

from selfalign.functional.precision import at_least_single
from selfalign.structures import CaptionEmbedding, ImageEmbedding


def multi_view_similarity(views: Tensor, vectors: Tensor) -> Tensor:
    """(N, M): for every caption the largest of the V dot products with an image's views.

    Args:
        views: (N, V, D), or (N, D) for one view.
        vectors: (M, D).

    Example:
        >>> views = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])  # one image, two views
        >>> multi_view_similarity(views, torch.tensor([[0.6, 0.8], [1.0, 0.0]]))
        tensor([[0.8000, 1.0000]])
    """
    if views.ndim == 2:
        return views @ vectors.mT
    images, count, _ = views.shape
    products = views.flatten(0, 1) @ vectors.mT  # (N·V, M)
    return products if count == 1 else products.view(images, count, -1).amax(dim=1)


def pair_similarity(image: ImageEmbedding, caption: CaptionEmbedding) -> Tensor:
    """(N, M): ``max_v views·vector + context·context``, in [−2, 2], in fp32 at least.

    The context part is the same for every view, so it stays outside the maximum.

    Example:
        >>> image = ImageEmbedding(views=torch.tensor([[[1.0, 0.0]]]), context=torch.tensor([[1.0, 0.0]]))
        >>> caption = CaptionEmbedding(vector=torch.tensor([[0.6, 0.8]]), context=torch.tensor([[0.0, 1.0]]))
        >>> pair_similarity(image, caption)
        tensor([[0.6000]])
    """
    with torch.autocast(image.views.device.type, enabled=False):
        base = multi_view_similarity(at_least_single(image.views), at_least_single(caption.vector))
        if image.context is None or caption.context is None:
            if image.context is not caption.context:
                raise ValueError("context: expected on both sides or on neither, got one side only")
            return base
        return base + at_least_single(image.context) @ at_least_single(caption.context).mT


def joint_image(image: ImageEmbedding) -> Tensor:
    """(N, V, 3·D), without context (N, V, D): their largest dot product with :func:`joint_caption` is the similarity.

    Example:
        >>> image = ImageEmbedding(views=torch.ones(1, 2, 3), context=torch.zeros(1, 6))
        >>> joint_image(image).shape
        torch.Size([1, 2, 9])
    """
    if image.context is None:
        return image.views
    return torch.cat([image.views, image.context[:, None].expand(-1, image.views.shape[1], -1)], dim=-1)


def joint_caption(caption: CaptionEmbedding) -> Tensor:
    """(M, 3·D), without context (M, D); see :func:`joint_image`.

    Example:
        >>> joint_caption(CaptionEmbedding(vector=torch.ones(4, 3), context=None)).shape
        torch.Size([4, 3])
    """
    return caption.vector if caption.context is None else torch.cat([caption.vector, caption.context], dim=-1)


def joint_embeddings(image: ImageEmbedding, caption: CaptionEmbedding) -> tuple[Tensor, Tensor]:
    """One vector a view and one a caption whose largest dot product is :func:`pair_similarity`.

    Returns:
        (N, V, 3·D), or (N, 3·D) for one view, and (M, 3·D); without context D in place of 3·D. The layout is the
        authors': base, then the two context parts.
    """
    if image.context is None or caption.context is None:
        image, caption = ImageEmbedding(image.views, None), CaptionEmbedding(caption.vector, None)
    views = joint_image(image)
    return (views[:, 0] if views.shape[1] == 1 else views), joint_caption(caption)
