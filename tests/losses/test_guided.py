"""InfoNCE with margins by the captions' words equals its slow oracle, written word by word in plain Python."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from selfalign.losses.guided import GuidedInfoNceLoss, caption_relevance, guided_infonce
from selfalign.losses.infonce import infonce
from tests.losses.test_against_oracles import SEEDS, assert_same, random

CAPTIONS = [[1, 7, 8, 2], [1, 7, 7, 9, 2], [1, 5, 2], [1, 8, 7, 2], [1, 2], [1, 6, 9, 2]]
"""1 and 2 stand in every caption, as [CLS] and [SEP]; the fourth has the words of the first."""
IMAGES = [4, 7, 4, 2, 9, 3]


def padded(filling: int = 0) -> tuple[Tensor, Tensor]:
    width = max(map(len, CAPTIONS)) + 1
    rows = [caption + [filling] * (width - len(caption)) for caption in CAPTIONS]
    lengths = torch.tensor([len(caption) for caption in CAPTIONS])
    return torch.tensor(rows), torch.arange(width) < lengths[:, None]


def slow_relevance(captions: list[list[int]]) -> list[list[float]]:
    words = sorted({word for caption in captions for word in caption})
    rarity = {word: math.log(len(captions) / sum(word in caption for caption in captions)) for word in words}
    vectors = [[rarity[word] * (word in caption) for word in words] for caption in captions]
    lengths = [math.sqrt(sum(x * x for x in vector)) for vector in vectors]
    return [
        [
            1.0 if i == j else sum(x * y for x, y in zip(a, b, strict=True)) / (max(lengths[i] * lengths[j], 1e-12))
            for j, b in enumerate(vectors)
        ]
        for i, a in enumerate(vectors)
    ]


def slow_loss(similarity: Tensor, temperature: float, margin: float, quantile: float) -> Tensor:
    relevance = slow_relevance(CAPTIONS)
    pairs = range(len(IMAGES))
    wrong = [relevance[i][j] for i in pairs for j in pairs if IMAGES[i] != IMAGES[j]]
    threshold = float(torch.tensor(wrong, dtype=torch.float64).quantile(quantile))

    def logit(image: int, caption: int) -> Tensor:
        extra = margin * min(1.0, (1 - relevance[image][caption]) / (1 - threshold)) if image != caption else 0.0
        return (similarity[image, caption] + extra) / temperature

    total = similarity.new_zeros(())
    for query in pairs:
        others = [other for other in pairs if other == query or IMAGES[other] != IMAGES[query]]
        for logits in ([logit(query, other) for other in others], [logit(other, query) for other in others]):
            total = total + torch.stack(logits).exp().sum().log() - logit(query, query)
    return total / (2 * len(IMAGES))


@pytest.mark.parametrize("filling", [0, 7])
def test_relevance_is_the_cosine_of_tf_idf_vectors_whatever_the_padding(filling: int) -> None:
    found = caption_relevance(*padded(filling))
    torch.testing.assert_close(found.double(), torch.tensor(slow_relevance(CAPTIONS)).double(), rtol=1e-6, atol=1e-6)
    assert found[0, 3] == pytest.approx(1.0)
    assert found[4, 4] == 1
    assert found[4].sum() == 1


@pytest.mark.parametrize("quantile", [0.3, 0.7])
@pytest.mark.parametrize("seed", SEEDS)
def test_guided_infonce(seed: int, quantile: float) -> None:
    relevance = torch.tensor(slow_relevance(CAPTIONS), dtype=torch.float64)
    assert_same(
        lambda s: guided_infonce(
            s, 0.07, image_ids=torch.tensor(IMAGES), relevance=relevance, margin=0.2, quantile=quantile
        ),
        lambda s: slow_loss(s, 0.07, 0.2, quantile),
        0.2 * random(6, 6, seed=seed),
    )


def test_without_a_margin_or_a_wrong_pair_it_is_infonce() -> None:
    similarity, tokens = 0.2 * random(6, 6), padded()
    for ids, loss in (
        (torch.tensor(IMAGES), GuidedInfoNceLoss(margin=0.0)),
        (torch.zeros(6, dtype=torch.int64), GuidedInfoNceLoss()),
    ):
        torch.testing.assert_close(loss(similarity, ids, *tokens), infonce(similarity, 0.07, image_ids=ids))


def test_its_settings_reach_it() -> None:
    similarity, ids, tokens = 0.2 * random(6, 6), torch.tensor(IMAGES), padded()
    values = {
        float(GuidedInfoNceLoss(temperature, margin, quantile)(similarity, ids, *tokens))
        for temperature, margin, quantile in ((0.07, 0.2, 0.5), (0.05, 0.2, 0.5), (0.07, 0.1, 0.5), (0.07, 0.2, 0.95))
    }
    assert len(values) == 4
