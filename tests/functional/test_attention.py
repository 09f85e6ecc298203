"""Both ways of attention are the formula, in value and gradient."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from selfalign.functional.attention import attention, attention_by_products

SHAPE = (3, 2, 5, 4)
COUNTS = (5, 1, 3)


def slow(query: Tensor, key: Tensor, value: Tensor, counts: tuple[int, ...]) -> Tensor:
    found = torch.zeros(SHAPE, dtype=value.dtype)
    for sample, count in enumerate(counts):
        for head in range(SHAPE[1]):
            for place in range(SHAPE[2]):
                scores = [torch.dot(query[sample, head, place], key[sample, head, other]) for other in range(count)]
                weights = [torch.exp(score / math.sqrt(SHAPE[3])) for score in scores]
                for other, weight in enumerate(weights):
                    found[sample, head, place] += weight / sum(weights) * value[sample, head, other]
    return found


@pytest.mark.parametrize("way", [attention, attention_by_products])
@pytest.mark.parametrize("masked", [True, False])
def test_equals_the_formula(way: object, masked: bool) -> None:
    random = torch.Generator().manual_seed(1)
    given = [torch.randn(SHAPE, dtype=torch.float64, generator=random).requires_grad_() for _ in range(3)]
    counts = COUNTS if masked else (SHAPE[2],) * SHAPE[0]
    mask = (torch.arange(SHAPE[2]) < torch.tensor(counts)[:, None])[:, None, None, :] if masked else None
    found, expected = way(*given, mask), slow(*given, counts)  # type: ignore[operator]
    torch.testing.assert_close(found, expected)
    slope = torch.randn(SHAPE, dtype=torch.float64, generator=random)
    for ours, oracles in zip(
        torch.autograd.grad((found * slope).sum(), given),
        torch.autograd.grad((expected * slope).sum(), given),
        strict=True,
    ):
        torch.testing.assert_close(ours, oracles)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_the_same_to_its_digits_with_gradients_of_its_type(dtype: torch.dtype) -> None:
    given = [torch.randn(SHAPE, generator=torch.Generator().manual_seed(place)) for place in range(3)]
    halves = [values.to(dtype).requires_grad_() for values in given]
    mask = (torch.arange(SHAPE[2]) < torch.tensor(COUNTS)[:, None])[:, None, None, :]
    found = attention(*halves, mask)
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), attention(*given, mask), rtol=0.03, atol=0.03)
    assert all(gradient.dtype == dtype for gradient in torch.autograd.grad(found.sum(), halves))
