"""Alignment accuracy counts the words whose region is right: by overlap, by pointing, and by phrase."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from selfalign.metrics.alignment import AlignmentAccuracy
from selfalign.structures import AlignmentBatch, CaptionBatch, ImageBatch, PairBatch

IDS = torch.arange(2)
PAIRS = PairBatch(
    ImageBatch(torch.zeros(2, 3, 1), None, IDS), CaptionBatch(torch.ones(2, 2, dtype=torch.long), IDS + 1, IDS, IDS)
)
REGIONS = torch.eye(3)[None].repeat(2, 1, 1)


def annotated(phrases: list[list[bool]]) -> AlignmentBatch:
    """Words 0 and 1 of the first pair, word 0 of the second."""
    correct = torch.tensor([[True, False, False], [False, False, True], [False, False, True]])
    centred = torch.tensor([[True, True, False], [False, True, True], [False, False, True]])
    return AlignmentBatch(
        PAIRS, torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0]), torch.tensor(phrases), correct, centred
    )


def test_words_choose_their_most_similar_region() -> None:
    words = torch.stack([torch.eye(3)[[0, 1]], torch.eye(3)[[2, 0]]])  # regions 0, 1 and 2
    metric = AlignmentAccuracy()
    assert metric.compute() == {}
    metric.update(REGIONS, words, annotated([[True, False], [False, True], [True, False]]))
    expected = {"accuracy": 200 / 3, "chance": 100 / 3, "words": 3, "pointing": 100, "pointing_chance": 500 / 9}
    assert metric.compute() == pytest.approx(expected | {"phrase": 200 / 3})


def test_the_words_of_a_phrase_choose_together() -> None:
    words = torch.zeros(2, 2, 3)
    words[0, 0] = torch.tensor([0.2, 0.0, 0.9])
    words[0, 1] = torch.tensor([0.1, 0.4, 0.0])  # by itself region 1, with the word before it region 2, which is right
    words[1, 0] = torch.tensor([0.0, 0.1, 0.5])
    metric = AlignmentAccuracy()
    metric.update(REGIONS, words, annotated([[True, False], [True, True], [True, False]]))
    found = metric.compute()
    assert found["accuracy"] == pytest.approx(100 / 3)
    assert found["phrase"] == pytest.approx(200 / 3)


def test_batches_add_up() -> None:
    words = torch.stack([torch.eye(3)[[0, 1]], torch.eye(3)[[2, 0]]])
    batch = annotated([[True, False], [False, True], [True, False]])
    once, twice = AlignmentAccuracy(), AlignmentAccuracy()
    for metric, times in ((once, 1), (twice, 2)):
        for _ in range(times):
            metric.update(REGIONS, words, batch)
    assert twice.compute() == pytest.approx(once.compute() | {"words": 6})


def test_padding_is_never_chosen_and_counts_for_no_chance() -> None:
    mask = torch.tensor([[True, True, False], [True, True, True]])
    batch = annotated([[True, False], [False, True], [True, False]])
    batch.pairs = replace(PAIRS, images=replace(PAIRS.images, mask=mask))
    batch.correct[1] = torch.tensor([True, False, False])
    words = torch.zeros(2, 2, 3)
    words[0, 0], words[0, 1] = torch.tensor([-0.5, -0.9, 0.0]), torch.tensor([-0.1, -0.2, 0.0])  # padding is zeros
    words[1, 0, 2] = 1.0
    metric = AlignmentAccuracy()
    metric.update(REGIONS, words, batch)
    found = metric.compute()
    assert found["accuracy"] == found["phrase"] == 100
    assert found["chance"] == pytest.approx(100 * (1 / 2 + 1 / 2 + 1 / 3) / 3)
