"""The answers that are shown, and their rank, are those that recall counts."""

from __future__ import annotations

import pytest
import torch

from selfalign.functional.answers import best_answers
from selfalign.functional.ranks import retrieval_ranks


@pytest.mark.parametrize("levels", [2, 5, 10_000])
def test_the_rank_is_the_counted_one_and_the_place_of_the_right_answer(levels: int) -> None:
    generator = torch.Generator().manual_seed(levels)
    similarity = torch.randint(levels, (8, 40), generator=generator).float() / levels
    owners = torch.arange(40) // 5
    ranks = retrieval_ranks(lambda rows, columns: similarity[rows, columns], owners, range(8), range(40))
    for image in range(8):
        found = best_answers(similarity[image], owners == image, 40)
        assert int(found.rank) == int(ranks.i2t[image])
        assert int(found.best[found.rank - 1]) == int(found.best_right)
        assert owners[found.best_right] == image
        assert not (owners[found.best[: found.rank - 1]] == image).any()
        torch.testing.assert_close(found.scores, similarity[image].sort(descending=True).values, rtol=0, atol=2e-6)
    for caption in range(40):
        found = best_answers(similarity[:, caption], torch.arange(8) == owners[caption], 5)
        assert int(found.rank) == int(ranks.t2i[caption])
        assert len(found.best) == 5


def test_a_collapsed_model_shows_wrong_answers_first() -> None:
    found = best_answers(torch.full((9,), 0.5), torch.arange(9) < 2, 5)
    assert found.rank == 8
    assert (found.best >= 2).all()
