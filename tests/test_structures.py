"""Batches: what moves to a device and what stays on the host."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from selfalign.structures import CaptionBatch, ImageBatch, PairBatch

IDS = torch.arange(3)
MASK = torch.arange(4) < torch.tensor([4, 1, 2])[:, None]


def pairs() -> PairBatch:
    images = ImageBatch(torch.zeros(3, 4, 2), None, IDS, MASK)
    return PairBatch(images, CaptionBatch(torch.ones(3, 5).long(), torch.tensor([3, 5, 2]), IDS, IDS))


def test_counts_are_those_of_the_batch_and_stay_on_the_host_when_it_moves() -> None:
    batch = pairs().to("meta")
    assert batch.images.mask is not None
    assert batch.images.mask.is_meta
    assert batch.captions.lengths.is_meta
    assert batch.images.counts is not None
    assert batch.images.counts.tolist() == [4, 1, 2]
    assert batch.captions.counts.tolist() == [3, 5, 2]


def test_counts_go_with_their_rows() -> None:
    batch = pairs().map(lambda values: values.roll(1, 0))
    assert batch.images.counts is not None
    assert batch.images.counts.tolist() == [2, 4, 1]
    assert batch.captions.counts.tolist() == [2, 3, 5]


def test_a_batch_without_a_mask_has_no_counts() -> None:
    images = pairs().images
    assert replace(images, mask=None).counts is None


def test_a_batch_that_was_changed_and_its_counts_were_not_is_refused() -> None:
    batch = pairs()
    with pytest.raises(ValueError, match=r"counts: expected \[2, 2, 2\]"):
        replace(batch.captions, lengths=torch.tensor([2, 2, 2]))
    with pytest.raises(ValueError, match=r"counts: expected \[4, 4, 4\]"):
        replace(batch.images, mask=torch.ones_like(MASK))
    assert replace(batch.captions, lengths=torch.tensor([2, 2, 2]), counts=None).counts.tolist() == [2, 2, 2]
