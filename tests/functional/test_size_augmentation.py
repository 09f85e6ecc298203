"""Size augmentation: which regions stay, which words change, and how often."""

from __future__ import annotations

import pytest
import torch

from selfalign.functional.size_augmentation import changed_words, some_real_regions, some_regions

HIDDEN, VOCABULARY, PAD = 3, 500, 0


def captions(count: int, words: int, padding: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """``<1> 500 501 … <2>``, which no random word is, so that an id tells where it stood."""
    inner = torch.arange(500, 500 + words).expand(count, -1)
    rows = [torch.ones(count, 1), inner, torch.full((count, 1), 2), torch.full((count, padding), PAD)]
    return torch.cat(rows, dim=1).long(), torch.full((count,), words + 2)


def change(tokens: torch.Tensor, lengths: torch.Tensor, share: float) -> tuple[torch.Tensor, torch.Tensor]:
    return changed_words(tokens, lengths, share, hidden_id=HIDDEN, vocabulary_size=VOCABULARY, pad_id=PAD)


@pytest.mark.parametrize(
    ("regions", "dropped", "kept"), [(36, 0.2, 29), (10, 0.2, 8), (36, 0.5, 18), (1, 0.9, 1), (3, 0.0, 3)]
)
def test_an_image_keeps_so_many_regions_in_their_order_each_once(regions: int, dropped: float, kept: int) -> None:
    places = some_regions(50, regions, dropped)
    assert places.shape == (50, kept)
    assert (places.diff(dim=1) > 0).all()
    assert places.min() >= 0
    assert places.max() < regions


def test_every_region_is_left_out_as_often_as_the_others_and_images_differ() -> None:
    torch.manual_seed(0)
    places = some_regions(20_000, 10, 0.2)
    seen = torch.zeros(10).scatter_add_(0, places.flatten(), torch.ones(places.numel())) / len(places)
    torch.testing.assert_close(seen, torch.full((10,), 0.8), atol=0.015, rtol=0)  # five standard deviations
    assert len(places.unique(dim=0)) == 45  # all choices of 8 among 10


def test_half_of_the_changed_words_are_hidden_a_tenth_replaced_and_the_others_deleted() -> None:
    torch.manual_seed(0)
    tokens, lengths = captions(5_000, 20)
    changed, left = change(tokens, lengths, 0.2)
    words = tokens.numel() - 2 * len(tokens)
    real = torch.arange(tokens.shape[1]) < left[:, None]
    hidden = (changed == HIDDEN).sum() / words
    deleted = (lengths - left).sum() / words
    kept = (real & (changed >= 500) & (changed < 520)).sum() / words
    assert float(hidden) == pytest.approx(0.1, abs=0.006)  # a random word is the hidden one once in a thousand
    assert float(deleted) == pytest.approx(0.08, abs=0.006)
    assert float(kept) == pytest.approx(0.8 + 0.02 * 20 / VOCABULARY, abs=0.008)


def test_what_stays_keeps_its_order_between_the_special_tokens_before_the_padding() -> None:
    torch.manual_seed(1)
    tokens, lengths = captions(200, 9, padding=4)
    changed, left = change(tokens, lengths, 0.6)
    assert changed.shape == tokens.shape
    assert (left < lengths).any()
    for row, length in zip(changed.tolist(), left.tolist(), strict=True):
        assert row[0] == 1
        assert row[length - 1] == 2
        assert set(row[length:]) <= {PAD}
        own = [token for token in row if token >= 500]
        assert own == sorted(set(own))


def test_a_caption_never_loses_all_its_words_and_special_tokens_never_change() -> None:
    torch.manual_seed(2)
    tokens, lengths = captions(2_000, 1)
    changed, left = change(tokens, lengths, 0.999)
    assert (left == 3).all()  # its one word is hidden, replaced, or stays
    assert (changed[:, 0] == 1).all()
    assert (changed[:, 2] == 2).all()
    bare = torch.tensor([[1, 2, PAD]])
    assert torch.equal(change(bare, torch.tensor([2]), 0.999)[0], bare)


def test_nothing_changes_at_nought() -> None:
    tokens, lengths = captions(5, 4, padding=2)
    changed, left = change(tokens, lengths, 0.0)
    assert torch.equal(changed, tokens)
    assert torch.equal(left, lengths)


def test_images_of_different_numbers_of_regions_keep_their_share_of_their_own() -> None:
    counts = torch.tensor([10, 1, 5, 3])
    mask = torch.arange(10) < counts[:, None]
    for _ in range(20):
        places, real, kept = some_real_regions(mask, counts, 0.4)
        assert places.shape == real.shape == (4, 6)
        assert real.sum(dim=1).tolist() == kept.tolist() == [6, 1, 3, 2]
        for row, count in enumerate(counts.tolist()):
            own = places[row, real[row]]
            assert (own.diff() > 0).all()
            assert own.max() < count
