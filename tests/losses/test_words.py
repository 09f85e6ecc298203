"""Word-region contrast equals its slow float64 oracle, and never works on all products at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from selfalign.functional.normalize import l2_normalize
from selfalign.losses import words as module
from selfalign.losses.words import WordContrastLoss, word_scores
from tests.losses.test_against_oracles import SEEDS, assert_same, mask_of, random
from tests.oracles import losses as oracle

LENGTHS = [5, 3, 2, 6]
"""Tokens; the first and the last are special, so that the third caption has no word."""
SPANS = [range(1, length - 1) for length in LENGTHS]
IMAGES = [3, 8, 5, 3]


def ours(share: float, counts: list[int] | None = None) -> Callable[..., Tensor]:
    loss = WordContrastLoss(0.2, 0.1, share)
    real = None if counts is None else mask_of(counts, 7)
    return lambda regions, words: loss(regions, words, mask_of(LENGTHS, 6), torch.tensor(IMAGES), region_mask=real)


def slow(share: float, counts: list[int] | None = None) -> Callable[..., Tensor]:
    def value(regions: Tensor, words: Tensor) -> Tensor:
        by_word, by_image = oracle.word_region(regions, words, SPANS, IMAGES, 0.2, 0.1, counts)
        return (1 - share) * by_word + share * by_image

    return value


@pytest.mark.parametrize("at_once", [1, 60, 2**20])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_word_region_contrast(seed: int, share: float, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SCORES_AT_ONCE", at_once)
    assert_same(ours(share), slow(share), 0.5 * random(4, 7, 5, seed=seed), 0.5 * random(4, 6, 5, seed=seed + 9))


def test_word_region_contrast_of_different_numbers_of_regions() -> None:
    counts = [7, 1, 4, 5]
    assert_same(ours(0.5, counts), slow(0.5, counts), 0.5 * random(4, 7, 5), 0.5 * random(4, 6, 5, seed=9))


def test_both_towers_get_a_gradient() -> None:
    regions, words = random(4, 7, 5).requires_grad_(), random(4, 6, 5, seed=1).requires_grad_()
    ours(0.5)(regions, words).backward()
    assert regions.grad.abs().sum(dim=(1, 2)).min() > 0
    assert words.grad[[0, 1, 3]].abs().sum(dim=(1, 2)).min() > 0


def test_padding_and_special_tokens_do_not_count() -> None:
    regions, words = random(4, 7, 5), random(4, 6, 5, seed=1)
    changed, control = words.clone(), words.clone()
    changed[1, 3:], changed[:, 0], changed[0, 4], changed[2] = 9.0, 9.0, 9.0, 9.0
    control[1, 1] = 9.0
    assert ours(0.5)(regions, changed) == ours(0.5)(regions, words)
    assert ours(0.5)(regions, control) != ours(0.5)(regions, words)  # negative control


def test_an_image_that_occurs_twice_is_no_wrong_answer() -> None:
    regions, words = random(4, 7, 5), random(4, 6, 5, seed=1)
    loss, mask = WordContrastLoss(), mask_of([6, 6, 6, 6], 6)
    regions[3] = regions[0]
    known = loss(regions, words, mask, torch.tensor([3, 8, 5, 3]))
    unknown = loss(regions, words, mask, torch.tensor([3, 8, 5, 4]))
    assert known < unknown


@pytest.mark.parametrize("temperature", [0.1, 1e-4])
def test_regions_outside_the_mask_are_not_there(temperature: float) -> None:
    words, regions = random(6, 5), random(3, 4, 5, seed=1)
    mask = torch.tensor([[True, True, False, False]] * 3)
    spoiled = regions.masked_fill(~mask[..., None], 50.0)
    expected = word_scores(words, regions[:, :2], temperature=temperature)
    torch.testing.assert_close(word_scores(words, spoiled, mask, temperature=temperature), expected)
    leaf = spoiled.requires_grad_()
    word_scores(words, leaf, mask, temperature=temperature).sum().backward()
    assert torch.isfinite(leaf.grad).all()
    assert leaf.grad[:, 2:].abs().sum() == 0


def test_a_cold_attention_takes_the_most_similar_region() -> None:
    words, regions = random(6, 5), random(3, 4, 5, seed=1)
    best = torch.einsum("kd,nrd->knr", words, regions).amax(dim=-1)
    torch.testing.assert_close(word_scores(words, regions, temperature=1e-4), best)


@pytest.mark.parametrize(("kept", "again"), [(0.0, 1.0), (0.5, 0.5), (1.0, 0.0)])
def test_products_are_made_in_parts_and_again_where_they_are_not_kept(
    kept: float, again: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 captions × 16 images × 10 words × 8 regions; no part of more than a tenth of them is ever made."""
    made: list[int] = []
    slopes = module._slopes

    def noted(*arguments: Any) -> tuple[Tensor, Tensor]:
        result = slopes(*arguments)
        made.append(result[1].numel())
        return result

    regions, words = random(16, 8, 5).requires_grad_(), random(16, 12, 5, seed=1).requires_grad_()

    def gradients() -> tuple[Tensor, ...]:
        loss = WordContrastLoss()(regions, words, mask_of([12] * 16, 12), torch.arange(16))
        return torch.autograd.grad(loss, (regions, words))

    expected = gradients()
    whole = 16 * 16 * 10 * 8
    monkeypatch.setattr(module, "_SCORES_AT_ONCE", whole // 10)
    monkeypatch.setattr(module, "_KEPT", int(kept * whole))
    monkeypatch.setattr(module, "_slopes", noted)
    torch.testing.assert_close(gradients(), expected)
    assert max(made) <= whole // 10
    assert sum(made) == (1 + again) * whole


def test_a_batch_without_words_costs_nothing() -> None:
    regions, words = random(2, 3, 5).requires_grad_(), random(2, 4, 5, seed=1).requires_grad_()
    loss = WordContrastLoss()(regions, words, mask_of([2, 1], 4), torch.arange(2))
    loss.backward()
    assert loss.item() == 0.0
    assert regions.grad.abs().sum() == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_close_to_single(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    regions, words = (l2_normalize(torch.randn(4, n, 16), dim=-1) for n in (7, 6))
    arguments = (mask_of(LENGTHS, 6), torch.tensor(IMAGES))
    single = WordContrastLoss()(regions, words, *arguments)
    with torch.autocast("cpu", dtype=dtype):
        half = WordContrastLoss()(regions, words, *arguments)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, single, rtol=0.03, atol=0.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "^temperature: expected a positive"),
        ({"attention_temperature": -1.0}, "attention_temperature: expected a positive"),
        ({"image_share": 1.5}, "image_share: expected 0 to 1"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WordContrastLoss(**settings)
