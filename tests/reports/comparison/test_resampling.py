"""Intervals and tests against slow oracles, and what they promise on data whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from selfalign.reports.comparison import resampling
from selfalign.reports.comparison.resampling import (
    bootstrap,
    contributions,
    holm,
    image_weights,
    interval,
    relabelling,
    seed_weights,
    sign_flip_p,
)
from tests.oracles import resampling as oracle

RANDOM = np.random.default_rng


def simulated(
    random: np.random.Generator, seeds: int, images: int, level: float, seed_spread: float = 0.0
) -> np.ndarray:
    """(K, N, 6) hits: an image is easy or hard for all seeds, and a seed good or bad for all images."""
    easy = random.standard_normal((1, images, 1)) + seed_spread * random.standard_normal((seeds, 1, 1)) + level
    once = easy + random.standard_normal((seeds, images, 3)) > 0
    five = (easy[..., None] + random.standard_normal((seeds, images, 3, 5)) > 0).sum(axis=-1)
    return np.concatenate([once, five], axis=-1).astype(float)


def test_draws_equal_plain_loops_with_the_same_weights() -> None:
    captions = np.array([5, 5, 3, 5, 1, 5, 5])
    hits = [np.minimum(simulated(RANDOM(n), n + 1, 7, 0.2), np.r_[1, 1, 1, [0] * 3] + 9) for n in range(3)]
    hits = [np.minimum(one, np.where(np.arange(6) < 3, 1, captions[:, None])) for one in hits]
    found = bootstrap(hits, captions, 40, seed=5)
    of_images, *of_seeds = map(RANDOM, np.random.SeedSequence(5).spawn(4))
    images = image_weights(of_images, 40, 7)
    for setting, source, own in zip(hits, of_seeds, found, strict=True):
        seeds = seed_weights(source, 40, len(setting))
        expected = [oracle.recalls(setting, captions, *weights) for weights in zip(images, seeds, strict=True)]
        np.testing.assert_allclose(own, expected, rtol=1e-12)
        low, high = interval(own[:, -1])
        ordered = sorted(row[-1] for row in expected)
        assert ordered[0] <= low <= ordered[1]
        assert ordered[-2] <= high <= ordered[-1]


def test_draws_depend_neither_on_the_memory_used_nor_on_other_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    captions = np.full(50, 5)
    one, other = (simulated(RANDOM(n), 3, 50, 0.2) for n in range(2))
    whole = bootstrap([one, other], captions, 200, seed=1)
    monkeypatch.setattr(resampling, "_CHUNK", 50 * 7)
    np.testing.assert_array_equal(bootstrap([one, other], captions, 200, seed=1), whole)
    np.testing.assert_array_equal(bootstrap([one], captions, 200, seed=1)[0], whole[0])
    assert not np.array_equal(bootstrap([one], captions, 200, seed=2)[0], whole[0])


def test_image_weights_draw_as_many_images_as_there_are() -> None:
    weights = image_weights(RANDOM(0), 4000, 30)
    assert (weights.sum(axis=1) == 30).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.1)
    np.testing.assert_allclose(weights.var(), 29 / 30, rtol=0.05)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_seeds_spread_as_their_mean_does(count: int) -> None:
    values = RANDOM(count).standard_normal(count)
    means = seed_weights(RANDOM(0), 40_000, count) @ values
    assert means.var() == pytest.approx(values.var(ddof=1) / count, rel=0.05)
    usual = RANDOM(0).multinomial(count, np.full(count, 1 / count), 40_000) / count @ values
    assert usual.var() < 0.9 * values.var(ddof=1) / count


def test_identical_settings_differ_by_nothing() -> None:
    captions, hits = np.full(80, 5), simulated(RANDOM(0), 1, 80, 0.3)
    one, other = bootstrap([hits, hits], captions, 1000, seed=0)
    assert interval(one[:, -1] - other[:, -1]) == (0.0, 0.0)
    assert sign_flip_p(contributions(hits, hits, captions), 1000, 0) == 1.0


@pytest.mark.parametrize(("seeds", "spread"), [(1, 0.0), (3, 0.0), (3, 0.1)])
def test_intervals_of_a_difference_hold_the_truth_as_often_as_they_say(seeds: int, spread: float) -> None:
    """Both settings are equally good; with a spread over seeds only the mean over many seeds is."""
    trials, covered, rejected, captions = 200, 0, 0, np.full(100, 5)
    for trial in range(trials):
        random = RANDOM([trial, seeds])
        one, other = np.split(simulated(random, 2 * seeds, 100, 0.3, spread), 2)
        a, b = bootstrap([one, other], captions, 400, seed=trial)
        low, high = interval(a[:, -1] - b[:, -1])
        covered += low <= 0 <= high
        rejected += sign_flip_p(contributions(one, other, captions), 400, trial) <= 0.05
    assert covered / trials >= 0.90
    if not spread:
        assert rejected / trials <= 0.10


def test_intervals_without_seeds_are_too_short_where_seeds_differ() -> None:
    """The negative control: images alone, with seeds averaged."""
    covered, captions = 0, np.full(100, 5)
    for trial in range(100):
        random = RANDOM([trial, 9])
        one, other = (side.mean(axis=0, keepdims=True) for side in np.split(simulated(random, 6, 100, 0.3, 0.4), 2))
        a, b = bootstrap([one, other], captions, 400, seed=trial)
        low, high = interval(a[:, -1] - b[:, -1])
        covered += low <= 0 <= high
    assert covered <= 75


def test_captions_of_one_image_are_no_independent_queries() -> None:
    """The negative control: the same captions, each as an image of its own, give an interval that is too short."""
    random = RANDOM(3)
    found = (random.random((1, 200, 1)) < 0.5).repeat(3, axis=2).astype(float)
    clustered = np.concatenate([found, 5 * found], axis=2)  # the five captions hit together
    split = np.concatenate([clustered[..., :3], found], axis=2).repeat(5, axis=1)
    (whole,) = bootstrap([clustered], np.full(200, 5), 2000, seed=0)
    (apart,) = bootstrap([split], np.ones(1000), 2000, seed=0)
    widths = [np.diff(interval(draws[:, 3]))[0] for draws in (whole, apart)]
    assert widths[0] == pytest.approx(2 * 1.96 * 100 * (0.25 / 200) ** 0.5, rel=0.1)
    assert widths[1] < 0.6 * widths[0]


def test_shares_of_images_add_up_to_the_difference_in_rsum() -> None:
    captions = np.array([5, 4, 5, 1, 5])
    one, other = (
        np.minimum(simulated(RANDOM(n), seeds, 5, 0.3), np.where(np.arange(6) < 3, 1, captions[:, None]))
        for n, seeds in ((1, 2), (2, 3))
    )
    shares = [oracle.rsum_share(one, other, captions, image) for image in range(5)]
    found = contributions(one, other, captions)
    assert [float(share * 5 * int(captions.sum()) * 6 / 100) for share in shares] == found.tolist()
    flat = np.ones((1, 5))
    (a,), (b,) = (
        [sum(oracle.recalls(side, captions, flat[0], np.full(len(side), 1 / len(side)))[:6])] for side in (one, other)
    )
    assert float(sum(shares)) == pytest.approx(a - b)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_sign_flips_agree_with_all_patterns(seed: int) -> None:
    values = RANDOM(seed).integers(-4, 8, 11)
    exact = oracle.exact_sign_flip_p(values.tolist())
    assert sign_flip_p(values.astype(float), 60_000, seed) == pytest.approx(exact, abs=0.01)


def test_a_planted_difference_is_found_and_p_is_never_0() -> None:
    captions = np.full(150, 5)
    one, other = simulated(RANDOM(1), 3, 150, 1.5), simulated(RANDOM(2), 3, 150, 0.0)
    a, b = bootstrap([one, other], captions, 1000, seed=0)
    assert interval(a[:, -1] - b[:, -1])[0] > 0
    assert sign_flip_p(contributions(one, other, captions), 999, 0) == pytest.approx(0.001)


def test_exchanged_labels_are_counted_exactly() -> None:
    found = relabelling([4.0, 5.0, 6.0], [1.0, 2.0, 3.0], 1000, 0)
    assert found is not None
    assert (found.p, found.smallest) == (0.1, 0.1)  # 2 of 20
    near = relabelling([1.0, 5.0, 6.0], [2.0, 3.0, 4.0], 1000, 0)
    assert near is not None
    assert near.p > 0.3
    unequal = relabelling([9.0, 8.0], [1.0, 2.0, 3.0], 1000, 0)
    assert unequal is not None
    assert unequal.smallest == 0.1  # 1 of 10
    assert relabelling([1.0], [2.0, 3.0], 1000, 0) is None


def test_many_seeds_are_relabelled_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = RANDOM(0).normal(0.6, 1, 6), RANDOM(1).normal(0, 1, 6)
    exact = relabelling(one.tolist(), other.tolist(), 1000, 0)
    monkeypatch.setattr(resampling, "_MOST_RELABELLINGS", 100)
    drawn = relabelling(one.tolist(), other.tolist(), 20_000, 0)
    assert exact is not None
    assert drawn is not None
    assert drawn.p == pytest.approx(exact.p, abs=0.02)


def test_holm_corrects_step_by_step() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
