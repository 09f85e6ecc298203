"""The similarity equals the slow one and the authors' concatenated form."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from selfalign.functional.normalize import l2_normalize
from selfalign.functional.similarity import joint_embeddings, multi_view_similarity, pair_similarity
from selfalign.structures import CaptionEmbedding, ImageEmbedding
from tests.oracles import retrieval as oracle


def embeddings(views: int, context: bool = True) -> tuple[ImageEmbedding, CaptionEmbedding]:
    random = torch.Generator().manual_seed(views)

    def values(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=random)

    return (
        ImageEmbedding(values(4, views, 6), values(4, 12) if context else None),
        CaptionEmbedding(values(9, 6), values(9, 12) if context else None),
    )


@pytest.mark.parametrize("views", [1, 3])
def test_equals_the_oracle(views: int) -> None:
    image, caption = embeddings(views)
    expected = oracle.similarity(*(t.numpy() for t in (image.views, caption.vector, image.context, caption.context)))
    np.testing.assert_allclose(pair_similarity(image, caption).numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("context", [True, False])
@pytest.mark.parametrize("views", [1, 3])
def test_joint_embeddings_give_the_same_similarity(views: int, context: bool) -> None:
    image, caption = embeddings(views, context)
    images, captions = joint_embeddings(image, caption)
    torch.testing.assert_close(multi_view_similarity(images, captions), pair_similarity(image, caption))


def test_half_precision_embeddings_are_compared_in_fp32() -> None:
    image, caption = embeddings(2)
    half = pair_similarity(image.to(torch.bfloat16), caption.to(torch.bfloat16))
    assert half.dtype == torch.float32


def test_context_on_one_side_only_is_refused() -> None:
    image, caption = embeddings(1)
    with pytest.raises(ValueError, match="both sides"):
        pair_similarity(image, CaptionEmbedding(caption.vector, None))


def test_normalising_a_zero_vector_gives_zero_and_a_zero_gradient() -> None:
    values = torch.zeros(2, 3, requires_grad=True)
    normed = l2_normalize(values, dim=-1)
    normed.sum().backward()
    assert torch.equal(normed, torch.zeros(2, 3))
    assert torch.equal(values.grad, torch.zeros(2, 3))


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_normalising_is_over_the_axis_that_is_named(dim: int) -> None:
    values = torch.randn(3, 4, 5)
    torch.testing.assert_close(l2_normalize(values, dim=dim), values / values.norm(dim=dim, keepdim=True))


def test_autocast_does_not_reach_the_similarity() -> None:
    image, caption = (one.map(torch.Tensor.float) for one in embeddings(3))
    expected = pair_similarity(image, caption)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(pair_similarity(image, caption), expected)
        assert (image.views[:, 0] @ caption.vector.mT).dtype == torch.bfloat16  # what it would be without a shield
