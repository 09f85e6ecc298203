"""Rows that count: taken, put back, averaged."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from selfalign.functional.masking import RealRows, inner_words, packed, real_rows, unpacked

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


@pytest.mark.parametrize("lengths", [[3, 1, 4, 4, 2], [1, 2, 1, 1, 2], [4] * 5])
def test_with_counts_of_the_host_rows_are_the_same_without_a_look_at_the_mask(lengths: list[int]) -> None:
    values, counts = torch.randn(5, 4, 3), torch.tensor(lengths)
    mask = torch.arange(4) < counts[:, None]
    for known, own in ((mask, counts), (inner_words(mask), (counts - 2).clamp_min(0))):
        asked, told = RealRows(known.shape, known), RealRows(known.shape, known, own)
        sample, _ = known.nonzero(as_tuple=True)
        for rows in (asked, told):
            assert torch.equal(rows.take(values), values[known])
            assert torch.equal(rows.take(values[..., 0]), values[..., 0][known])
            assert torch.equal(rows.put(rows.take(values)), values * known[..., None])
            assert torch.equal(rows.samples(known.device), sample)
    assert torch.equal(RealRows(mask.shape, None).samples(mask.device), torch.arange(5).repeat_interleave(4))


@pytest.mark.parametrize("counts", [[2, 2], [2, 0]])
def test_counts_that_are_not_those_of_the_mask_give_no_rows(counts: list[int]) -> None:
    with pytest.raises((RuntimeError, IndexError)):
        RealRows(MASK.shape, MASK, torch.tensor(counts)).take(torch.randn(2, 3, 4))


def test_packing_and_unpacking_are_those_of_torch() -> None:
    values, counts = torch.randn(5, 4, 3), torch.tensor([3, 1, 3, 3, 2])
    expected = pack_padded_sequence(values, counts, batch_first=True, enforce_sorted=False)
    found = packed(values, counts)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)
    assert torch.equal(unpacked(found, 4), pad_packed_sequence(expected, batch_first=True, total_length=4)[0])
