"""Ranks: equal to sorting, exact on ties, the same whatever the tiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from selfalign.functional import ranks as module
from selfalign.functional.ranks import (
    Area,
    embedding_tile,
    full_similarity,
    mean_tile,
    ranks_of_areas,
    retrieval_ranks,
)
from selfalign.structures import CaptionEmbedding, ImageEmbedding
from tests.oracles import retrieval as oracle


def tile_of(scores: torch.Tensor) -> module.Tile:
    return lambda images, captions: scores[images, captions]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_equal_sorting_on_scores_full_of_ties(data: st.DataObject) -> None:
    images = data.draw(st.integers(1, 9))
    extra = data.draw(st.lists(st.integers(0, images - 1), max_size=12))
    owners = data.draw(st.permutations([*range(images), *extra]))
    levels = data.draw(st.integers(1, 6))
    seed = data.draw(st.integers(0, 10_000))
    scores = np.random.default_rng(seed).integers(0, levels, (images, len(owners))).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "TILE_IMAGES", data.draw(st.integers(1, 5)))
        patch.setattr(module, "TILE_CAPTIONS", data.draw(st.integers(1, 7)))
        patch.setattr(module, "_CACHED_TILES", data.draw(st.integers(0, 3)))
        found = retrieval_ranks(
            tile_of(torch.from_numpy(scores)), torch.tensor(owners), range(images), range(len(owners))
        )
    assert (found.i2t.tolist(), found.t2i.tolist()) == oracle.ranks(scores, list(owners))


def test_a_collapsed_model_ranks_last() -> None:
    torch.manual_seed(0)
    views = torch.nn.functional.normalize(torch.randn(1, 1, 2048), dim=-1).expand(700, 1, 2048)
    tile = embedding_tile(ImageEmbedding(views, None), CaptionEmbedding(views[:, 0].repeat_interleave(5, 0), None))
    found = retrieval_ranks(tile, torch.arange(3500) // 5, range(700), range(3500))
    assert found.i2t.eq(3500 - 5 + 1).all()
    assert found.t2i.eq(700).all()


def test_duplicated_images_count_against_each_other() -> None:
    torch.manual_seed(0)
    views = torch.nn.functional.normalize(torch.randn(600, 1, 512), dim=-1)
    views[[17, 555]] = views[3].clone()
    captions = views[:, 0].repeat_interleave(5, 0)
    tile = embedding_tile(ImageEmbedding(views, None), CaptionEmbedding(captions, None))
    found = retrieval_ranks(tile, torch.arange(3000) // 5, range(600), range(3000))
    for image in (3, 17, 555):
        assert found.t2i[5 * image : 5 * image + 5].eq(3).all()
        assert found.i2t[image] == 11
    assert found.t2i.median() == 1


def test_a_part_of_the_gallery_is_ranked_by_itself() -> None:
    scores = torch.randn(10, 50)
    owners = torch.arange(50) // 5
    part = retrieval_ranks(tile_of(scores), owners, range(4, 8), range(20, 40))
    alone = retrieval_ranks(tile_of(scores[4:8, 20:40]), owners[:20], range(4), range(20))
    assert part.i2t.equal(alone.i2t)
    assert part.t2i.equal(alone.t2i)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_areas_are_ranked_by_themselves_whatever_the_tiles(data: st.DataObject) -> None:
    images, each = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 3))
    owners = torch.arange(images).repeat_interleave(each)
    bounds = data.draw(st.lists(st.tuples(st.integers(0, images - 1), st.integers(1, images)), min_size=1, max_size=4))
    spans = [range(first, max(first + 1, last)) for first, last in bounds]
    areas = [Area(span, range(each * span.start, each * span.stop)) for span in spans]
    seed = data.draw(st.integers(0, 10_000))
    scores = np.random.default_rng(seed).integers(0, 4, (images, each * images)).astype(np.float32)
    seen = np.zeros_like(scores)

    def see(rows: slice, columns: slice, tile: torch.Tensor) -> None:
        assert np.array_equal(tile.numpy(), scores[rows, columns])
        seen[rows, columns] += 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "TILE_IMAGES", data.draw(st.integers(1, 5)))
        patch.setattr(module, "TILE_CAPTIONS", data.draw(st.integers(1, 7)))
        patch.setattr(module, "_CACHED_TILES", data.draw(st.integers(0, 3)))
        shown = see if data.draw(st.booleans()) else None
        found = ranks_of_areas(tile_of(torch.from_numpy(scores)), owners, images, areas, see=shown)
    for area, ranks in zip(areas, found, strict=True):
        rows, columns = (slice(part.start, part.stop) for part in (area.images, area.captions))
        expected = oracle.ranks(scores[rows, columns], (owners[columns] - rows.start).tolist())
        assert (ranks.i2t.tolist(), ranks.t2i.tolist()) == expected
    assert shown is None or (seen == 1).all()


def test_a_part_that_leaves_out_captions_of_its_images_is_refused() -> None:
    with pytest.raises(ValueError, match="expected all of images 1 to 1, got 1 of 2"):
        retrieval_ranks(tile_of(torch.zeros(2, 4)), torch.tensor([0, 0, 1, 1]), range(1, 2), range(2, 3))


def test_the_tiles_of_an_ensemble_are_means() -> None:
    scores = [torch.randn(4, 20) for _ in range(3)]
    tile = mean_tile([tile_of(values) for values in scores])
    torch.testing.assert_close(full_similarity(tile, 4, 20), sum(scores) / 3)


def test_scores_that_are_not_finite_are_refused() -> None:
    scores = torch.zeros(2, 10)
    scores[1, 3] = torch.nan
    with pytest.raises(ValueError, match="finite"):
        retrieval_ranks(tile_of(scores), torch.arange(10) // 5, range(2), range(10))


def test_captions_that_do_not_fit_the_images_are_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        retrieval_ranks(tile_of(torch.randn(3, 4)), torch.tensor([0, 0, 2, 2]), range(2), range(4))


def test_an_image_without_a_caption_is_searched_and_asks_nothing() -> None:
    scores = torch.tensor([[0.9, 0.1, 0.2], [0.5, 0.6, 0.3], [0.1, 0.2, 0.8]])
    found = retrieval_ranks(tile_of(scores), torch.tensor([0, 2, 2]), range(3), range(3))
    assert found.i2t.tolist() == [1, 1]  # of images 0 and 2
    assert found.t2i.tolist() == [1, 2, 1]  # image 1 comes before image 2 for the caption in the middle


def test_scores_within_rounding_are_ties_and_others_are_not() -> None:
    owners = torch.tensor([0, 1])
    for less, rank in ((2e-7, 2), (1e-5, 1)):  # one pair's product differs by the first between tiles of two shapes
        scores = torch.tensor([[0.7, 0.7 - less], [0.7 - less, 0.7]])
        found = retrieval_ranks(lambda rows, columns, s=scores: s[rows, columns], owners, range(2), range(2))
        assert found.i2t.tolist() == found.t2i.tolist() == [rank, rank]
