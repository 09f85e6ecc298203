"""The first answers of many queries against a sort of the whole table."""

from __future__ import annotations

import pytest
import torch

from selfalign.functional import search
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
