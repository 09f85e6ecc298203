"""Kept answers: what other evaluators read gives the figures that we report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics.functional.retrieval import retrieval_hit_rate, retrieval_normalized_dcg

from selfalign.errors import UserError
from selfalign.functional.lists import answer_lists
from selfalign.functional.ranks import retrieval_ranks
from selfalign.metrics.protocols import summarise
from selfalign.runs.answers_file import read_answers, save_answers, save_trec

OWNERS = torch.arange(60) // 5


@pytest.fixture
def scores() -> torch.Tensor:
    """12 images and 60 captions, many equal."""
    return torch.randint(9, (12, 60), generator=torch.Generator().manual_seed(4)) / 9


def test_the_file_holds_rows_and_scores(tmp_path: Path, scores: torch.Tensor) -> None:
    i2t, t2i = answer_lists(lambda rows, columns: scores[rows, columns], OWNERS, 12, top=7)
    save_answers(i2t, t2i, OWNERS, tmp_path / "answers.npz")
    with np.load(tmp_path / "answers.npz") as kept:
        assert {name: kept[name].shape for name in kept} == {
            "image_of_caption": (60,),
            "i2t_rows": (12, 7),
            "i2t_scores": (12, 7),
            "t2i_rows": (60, 7),
            "t2i_scores": (60, 7),
        }
        assert np.array_equal(np.take_along_axis(scores.numpy(), kept["i2t_rows"], 1), kept["i2t_scores"])
        assert np.array_equal(kept["image_of_caption"], OWNERS.numpy())


def test_trec_files_give_our_recalls_by_torchmetrics(tmp_path: Path, scores: torch.Tensor) -> None:
    def tile(rows: slice, columns: slice) -> torch.Tensor:
        return scores[rows, columns]

    save_trec(*answer_lists(tile, OWNERS, 12, top=60), OWNERS, tmp_path)
    ranks = retrieval_ranks(tile, OWNERS, range(12), range(60))
    for side, expected in (("i2t", summarise(ranks.i2t)), ("t2i", summarise(ranks.t2i))):
        right = defaultdict(set)
        for line in (tmp_path / f"{side}.qrels").read_text().splitlines():
            query, _, answer, relevance = line.split()
            assert relevance == "1"
            right[query].add(answer)
        lists = defaultdict(list)
        for line in (tmp_path / f"{side}.run").read_text().splitlines():
            query, q0, answer, place, score, name = line.split()
            lists[query].append((float(score), answer in right[query]))
            assert (q0, int(place), name) == ("Q0", len(lists[query]), "selfalign")
        assert set(lists) == set(right)
        for depth, figure in ((1, expected.r1), (5, expected.r5), (10, expected.r10)):
            hits = [
                retrieval_hit_rate(torch.tensor([s for s, _ in one]), torch.tensor([r for _, r in one]), top_k=depth)
                for one in lists.values()
            ]
            assert 100 * float(torch.stack(hits).mean()) == pytest.approx(figure, abs=1e-4)
        gains = [
            retrieval_normalized_dcg(torch.tensor([s for s, _ in one]), torch.tensor([r for _, r in one]))
            for one in lists.values()
        ]
        assert 0 < float(torch.stack(gains).mean()) < 1


def test_what_was_saved_is_read(tmp_path: Path, scores: torch.Tensor) -> None:
    i2t, t2i = answer_lists(lambda rows, columns: scores[rows, columns], OWNERS, 12, top=7)
    save_answers(i2t, t2i, OWNERS, tmp_path / "answers.npz")
    found = read_answers(tmp_path / "answers.npz")
    for read, saved in ((found.i2t, i2t.rows), (found.t2i, t2i.rows), (found.image_of_caption, OWNERS)):
        assert np.array_equal(read, saved.numpy())


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("i2t_rows", lambda rows: rows[:-1]),
        ("i2t_rows", lambda rows: np.where(rows == 0, 60, rows)),
        ("t2i_rows", lambda rows: rows - 1),
        ("t2i_rows", lambda rows: np.zeros_like(rows)),
        ("t2i_rows", lambda rows: rows.astype(np.float32)),
        ("image_of_caption", lambda owners: owners[:0]),
        ("image_of_caption", lambda owners: owners.astype(object)),
    ],
    ids=["a query less", "beyond the gallery", "before it", "an answer twice", "no whole numbers", "empty", "objects"],
)
def test_changed_answers_are_refused_in_one_line(
    tmp_path: Path, scores: torch.Tensor, name: str, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    path = tmp_path / "answers.npz"
    save_answers(*answer_lists(lambda rows, columns: scores[rows, columns], OWNERS, 12, top=7), OWNERS, path)
    with np.load(path) as kept:
        arrays = dict(kept)
    np.savez(path, **(arrays | {name: change(arrays[name])}))
    with pytest.raises(UserError, match="damaged") as refused:
        read_answers(path)
    assert "\n" not in str(refused.value)
    np.savez_compressed(path, **arrays)
    with pytest.raises(UserError, match="compressed members"):
        read_answers(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match="damaged"):
        read_answers(path)
