"""Rows that count: taken, put back, averaged."""

from __future__ import annotations

import torch

from selfalign.functional.masking import RealRows, real_rows

MASK = torch.tensor([[True, True, False], [True, False, False]])


def test_real_rows_are_those_of_the_mask_and_come_back_to_their_places() -> None:
    values = torch.randn(2, 3, 4)
    rows = RealRows(MASK.shape, MASK)
    torch.testing.assert_close(rows.take(values), values[MASK], rtol=0, atol=0)
    torch.testing.assert_close(real_rows(values, MASK), values[MASK], rtol=0, atol=0)
    torch.testing.assert_close(rows.put(rows.take(values)), values * MASK[..., None], rtol=0, atol=0)


def test_without_a_mask_all_rows_count() -> None:
    values = torch.randn(2, 3, 4)
    rows = RealRows(values.shape[:2], None)
    torch.testing.assert_close(rows.put(rows.take(values)), values, rtol=0, atol=0)
    torch.testing.assert_close(rows.mean(rows.take(values)), values.mean(dim=1))


def test_a_mean_counts_real_rows_only() -> None:
    values = torch.randn(2, 3, 4)
    rows = RealRows(MASK.shape, MASK)
    expected = torch.stack([values[0, :2].mean(0), values[1, 0]])
    torch.testing.assert_close(rows.mean(rows.take(values)), expected)


def test_gradients_reach_real_rows_alone() -> None:
    values = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    rows = RealRows(MASK.shape, MASK)
    assert torch.autograd.gradcheck(lambda given: rows.put(rows.take(given).sin()), values)
    rows.mean(rows.take(values)).sum().backward()
    assert values.grad is not None
    assert values.grad[~MASK].eq(0).all()
    assert values.grad[MASK].ne(0).all()
