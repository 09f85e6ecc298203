"""Recall and protocols: ids decide, folds are averaged, alignment counts hits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from selfalign.errors import UserError
from selfalign.functional.lists import AnswerLists, answer_lists
from selfalign.functional.ranks import Tile
from selfalign.metrics.protocols import PROTOCOLS, evaluate, evaluate_protocols, summarise
from selfalign.metrics.recall import CrossModalRecall
from selfalign.structures import CaptionEmbedding, ImageEmbedding
from tests.oracles import retrieval as oracle


def embeddings(images: int) -> tuple[ImageEmbedding, CaptionEmbedding]:
    random = torch.Generator().manual_seed(images)
    return (
        ImageEmbedding(torch.randn(images, 3, 8, generator=random), torch.randn(images, 16, generator=random)),
        CaptionEmbedding(torch.randn(5 * images, 8, generator=random), torch.randn(5 * images, 16, generator=random)),
    )


def filled(order: torch.Tensor, images: int = 6) -> CrossModalRecall:
    metric = CrossModalRecall()
    metric.reset_gallery(images, 5 * images)
    image, caption = embeddings(images)
    for rows in order.split(4):
        metric.update(rows, image.map(lambda values, rows=rows: values[rows]))
    for rows in torch.arange(5 * images).flip(0).split(7):
        metric.update(rows, caption.map(lambda values, rows=rows: values[rows]), rows // 5)
    return metric


def test_figures_equal_the_oracle() -> None:
    image, caption = embeddings(6)
    scores = oracle.similarity(*(t.numpy() for t in (image.views, caption.vector, image.context, caption.context)))
    i2t, t2i = oracle.ranks(scores.astype(np.float32), [row // 5 for row in range(30)])
    figures = filled(torch.arange(6)).compute()
    for side, ranks in (("i2t", i2t), ("t2i", t2i)):
        for depth in (1, 5, 10):
            assert figures[f"{side}_r{depth}"] == pytest.approx(100 * np.mean(np.array(ranks) <= depth))
        assert figures[f"{side}_mean_rank"] == pytest.approx(np.mean(ranks))
    assert figures["rsum"] == pytest.approx(
        sum(value for name, value in figures.items() if "_r" in name and "rank" not in name)
    )


def test_recall_ignores_the_order_and_repeats_of_samples() -> None:
    expected = filled(torch.arange(6)).compute()
    assert filled(torch.tensor([3, 0, 5, 1, 4, 2])).compute() == expected
    assert filled(torch.tensor([0, 1, 2, 3, 4, 5, 0, 1, 2])).compute() == expected


def test_a_missing_sample_is_an_error() -> None:
    with pytest.raises(ValueError, match="ids 0 to 5"):
        filled(torch.tensor([0, 1, 2, 3, 5])).compute()


def test_median_and_recalls_are_those_of_the_field() -> None:
    result = summarise(torch.tensor([1, 1, 2, 5, 6, 11]))
    assert (result.r1, result.r5, result.r10) == pytest.approx((100 / 3, 400 / 6, 500 / 6))
    assert result.median_rank == 3.0  # 3.5, rounded down as published


def random_tile() -> Tile:
    image = torch.nn.functional.normalize(torch.randn(5000, 16, generator=torch.Generator().manual_seed(0)), dim=-1)
    noise = torch.randn(25_000, 16, generator=torch.Generator().manual_seed(1))
    caption = image.repeat_interleave(5, 0) + 0.3 * noise
    return lambda rows, columns: image[rows] @ caption[columns].mT


def test_five_folds_are_five_galleries_and_their_mean() -> None:
    tile, owners = random_tile(), torch.arange(25_000) // 5
    result = evaluate(tile, owners, 5000, "coco_1k_5fold")
    assert len(result.folds) == 5

    def shifted(rows: slice, columns: slice) -> torch.Tensor:
        return tile(slice(rows.start + 2000, rows.stop + 2000), slice(columns.start + 10_000, columns.stop + 10_000))

    third = evaluate(shifted, owners[:5000], 1000)
    assert result.folds[2].i2t == third.i2t
    assert result.folds[2].t2i == third.t2i
    assert result.i2t.r1 == pytest.approx(np.mean([fold.i2t.r1 for fold in result.folds]))
    assert result.t2i.mean_rank == pytest.approx(np.mean([fold.t2i.mean_rank for fold in result.folds]))
    assert result.rsum == pytest.approx(np.mean([fold.rsum for fold in result.folds]))
    record = result.to_dict()
    assert len(record["folds"]) == 5
    assert record["folds_std"]["i2t"]["r1"] == pytest.approx(np.std([fold.i2t.r1 for fold in result.folds], ddof=1))


def test_all_protocols_and_answers_come_from_one_look_at_every_pair() -> None:
    gallery, owners = random_tile(), torch.arange(25_000) // 5
    looked_at = []

    def tile(rows: slice, columns: slice) -> torch.Tensor:
        scores = gallery(rows, columns)
        looked_at.append(scores.numel())
        return scores

    lists = AnswerLists(owners, 5000, top=7)
    found = evaluate_protocols(tile, owners, 5000, PROTOCOLS, lists=lists)
    assert sum(looked_at) == 5000 * 25_000
    assert found == [evaluate(gallery, owners, 5000, protocol) for protocol in PROTOCOLS]
    for one, other in zip(lists.lists(), answer_lists(gallery, owners, 5000, top=7), strict=True):
        assert one.rows.equal(other.rows)
        assert one.scores.equal(other.scores)
    looked_at.clear()
    evaluate(tile, owners, 5000, "coco_1k_5fold")
    assert sum(looked_at) == 5000 * 5000


def test_captions_of_an_image_need_not_stand_together() -> None:
    gallery, owners = random_tile(), torch.arange(25_000) // 5
    mixed = torch.randperm(25_000, generator=torch.Generator().manual_seed(2))

    def tile(rows: slice, columns: slice) -> torch.Tensor:
        return gallery(rows, mixed[columns])  # type: ignore[arg-type]

    lists = AnswerLists(owners[mixed], 5000, top=3)
    found = evaluate_protocols(tile, owners[mixed], 5000, PROTOCOLS, lists=lists)
    for mixed_up, protocol in zip(found, PROTOCOLS, strict=True):
        expected = evaluate(gallery, owners, 5000, protocol)
        assert mixed_up.ranks.i2t.equal(expected.ranks.i2t)
        assert mixed_up.ranks.t2i.equal(expected.ranks.t2i[mixed])
        assert (mixed_up.i2t, mixed_up.t2i) == (expected.i2t, expected.t2i)
    i2t, t2i = lists.lists()
    assert mixed[i2t.rows].equal(answer_lists(gallery, owners, 5000, top=3)[0].rows)
    assert t2i.rows.equal(answer_lists(gallery, owners, 5000, top=3)[1].rows[mixed])


@pytest.mark.parametrize(("protocol", "images"), [("coco_1k_5fold", 1000), ("coco_5k", 5000)])
def test_a_protocol_that_does_not_fit_is_refused(protocol: str, images: int) -> None:
    with pytest.raises(UserError, match="protocol"):
        evaluate(random_tile(), torch.arange(5 * images) // 5, images, protocol)
