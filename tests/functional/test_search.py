"""The first answers of many queries against a sort of the whole table."""

from __future__ import annotations

import pytest
import torch

from selfalign.functional import lists as lists_module
from selfalign.functional import ranks as ranks_module
from selfalign.functional import search
from selfalign.functional.answers import best_answers
from selfalign.functional.lists import answer_lists
from selfalign.functional.ranks import retrieval_ranks
from selfalign.functional.search import first_answers


@pytest.mark.parametrize(("queries", "gallery", "top"), [(1, 1, 1), (7, 5, 9), (11, 23, 4), (9, 64, 64)])
@pytest.mark.parametrize("levels", [3, 10_000], ids=["many ties", "few ties"])
def test_it_equals_a_stable_sort_of_all_scores(
    monkeypatch: pytest.MonkeyPatch, queries: int, gallery: int, top: int, levels: int
) -> None:
    monkeypatch.setattr(search, "_QUERIES", 4)
    monkeypatch.setattr(search, "_GALLERY", 6)
    scores = torch.randint(levels, (queries, gallery), generator=torch.Generator().manual_seed(1)).float()
    seen = []

    def tile(rows: slice, columns: slice) -> torch.Tensor:
        seen.append((rows.stop - rows.start) * (columns.stop - columns.start))
        return scores[rows, columns]

    hits = first_answers(tile, queries, gallery, top)
    order = scores.argsort(dim=1, descending=True, stable=True)[:, :top]
    assert torch.equal(hits.rows, order)
    assert torch.equal(hits.scores, scores.gather(1, order))
    assert max(seen) <= 24


def test_no_answers_are_no_question() -> None:
    with pytest.raises(ValueError, match="top: expected at least 1"):
        first_answers(lambda rows, columns: torch.zeros(1, 1), 1, 1, 0)
    with pytest.raises(ValueError, match="top: expected at least 1"):
        answer_lists(lambda rows, columns: torch.zeros(1, 1), torch.tensor([0]), 1, 0)


@pytest.mark.parametrize("levels", [3, 10_000], ids=["many ties", "few ties"])
@pytest.mark.parametrize("pending", [2, 5, 8192])
def test_lists_are_in_the_order_that_ranks_are_counted_by(
    monkeypatch: pytest.MonkeyPatch, levels: int, pending: int
) -> None:
    monkeypatch.setattr(lists_module, "_QUERIES", 4)
    monkeypatch.setattr(lists_module, "_PENDING", pending)
    monkeypatch.setattr(ranks_module, "TILE_IMAGES", 2)
    monkeypatch.setattr(ranks_module, "TILE_CAPTIONS", 4)
    random = torch.Generator().manual_seed(2)
    owners = torch.tensor([0, 0, 1, 2, 3, 3, 3, 4, 5, 6, 6])
    scores = torch.randint(levels, (7, 11), generator=random) / levels
    scores += 4e-7 * torch.rand(7, 11, generator=random)  # equal within rounding

    def tile(rows: slice, columns: slice) -> torch.Tensor:
        return scores[rows, columns]

    i2t, t2i = answer_lists(tile, owners, 7, top=11)
    for query in range(7):
        expected = best_answers(scores[query], owners == query, 11)
        ranked = (i2t.rows[query] == expected.best_right) & (owners[i2t.rows[query]] == query)
        assert int(expected.rank) == int(ranked.int().argmax()) + 1
    right_images = t2i.rows == owners[:, None]
    right_captions = owners[i2t.rows] == torch.arange(7)[:, None]
    ranks = retrieval_ranks(tile, owners, range(7), range(11))
    assert torch.equal(ranks.t2i, right_images.int().argmax(dim=1) + 1)
    assert torch.equal(ranks.i2t, right_captions.int().argmax(dim=1) + 1)
    assert torch.equal(i2t.scores, scores.gather(1, i2t.rows))
    assert torch.equal(t2i.scores, scores.mT.gather(1, t2i.rows))
    short = answer_lists(tile, owners, 7, top=3)
    assert torch.equal(short[0].rows, i2t.rows[:, :3])
    assert torch.equal(short[1].rows, t2i.rows[:, :3])


def test_lists_and_ranks_round_the_edge_of_a_tie_alike() -> None:
    """With scores this close to each other, a few fall on the edge itself: one rounding more would tell them apart."""
    owners = torch.arange(1000) // 5
    scores = torch.rand(200, 1000, generator=torch.Generator().manual_seed(0)) * 1e-4 + 0.7

    def tile(rows: slice, columns: slice) -> torch.Tensor:
        return scores[rows, columns]

    i2t, t2i = answer_lists(tile, owners, 200, top=1000)
    ranks = retrieval_ranks(tile, owners, range(200), range(1000))
    assert torch.equal(ranks.i2t, (owners[i2t.rows] == torch.arange(200)[:, None]).int().argmax(dim=1) + 1)
    assert torch.equal(ranks.t2i, (t2i.rows == owners[:, None]).int().argmax(dim=1) + 1)
