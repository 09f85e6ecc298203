"""Sinkhorn-Knopp: equal to its oracle, balanced, shift-invariant, finite."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from selfalign.functional.sinkhorn import sinkhorn
from tests.oracles import losses as oracle


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 6), st.integers(1, 4))
def test_equals_the_oracle(seed: int, samples: int, prototypes: int, iterations: int) -> None:
    scores = torch.rand(samples, prototypes, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    expected = oracle.sinkhorn(scores, 0.05, iterations)
    torch.testing.assert_close(sinkhorn(scores, iterations=iterations), expected, rtol=1e-9, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(-50, 50))
def test_a_shift_of_all_scores_changes_nothing(seed: int, shift: float) -> None:
    scores = torch.rand(8, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(sinkhorn(scores + shift), sinkhorn(scores), rtol=1e-8, atol=1e-10)


def test_rows_sum_to_one_and_prototypes_share_evenly() -> None:
    assignments = sinkhorn(torch.rand(64, 4), temperature=0.5, iterations=50)
    torch.testing.assert_close(assignments.sum(dim=1), torch.ones(64))
    torch.testing.assert_close(assignments.sum(dim=0), torch.full((4,), 16.0), rtol=1e-3, atol=0)


def test_half_precision_scores_do_not_overflow() -> None:
    scores = torch.rand(32, 8)
    naive = torch.exp(scores.half() / 0.05)
    assert torch.isinf(naive).any()  # what the subtraction of the maximum is for
    half = sinkhorn(scores.half())
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, sinkhorn(scores), rtol=0.05, atol=0.01)


def test_a_prototype_far_from_every_sample_gives_no_nan() -> None:
    scores = torch.tensor([[1.0, -30.0], [1.0, -30.0]])
    assert torch.isfinite(sinkhorn(scores)).all()
