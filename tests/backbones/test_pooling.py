"""Every pooling equals its slow float64 oracle in value and gradient, whatever stands in padding and in which order."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from selfalign.backbones.pooling.attention import AttentionPooling
from selfalign.backbones.pooling.base import Pooling
from selfalign.backbones.pooling.generalised import GeneralisedPooling
from selfalign.backbones.pooling.maximum import MaxPooling
from selfalign.backbones.pooling.mean import MeanPooling
from selfalign.functional.masking import RealRows
from tests.losses.test_against_oracles import SEEDS, assert_same, mask_of, random

WIDTH = 5
COUNTS = [4, 1, 3]
MASK = mask_of(COUNTS, 4)


def build(name: str) -> Pooling:
    torch.manual_seed(3)
    pooling = {
        "mean": MeanPooling,
        "max": MaxPooling,
        "generalised": lambda: GeneralisedPooling(4, 3),
        "attention": lambda: AttentionPooling(WIDTH),
    }[name]()
    for values in pooling.parameters():
        torch.nn.init.normal_(values, std=0.5)
    return pooling.double()


def pooled(pooling: Pooling, values: Tensor, mask: Tensor | None) -> Tensor:
    rows = RealRows(values.shape[:2], mask)
    return pooling(rows.take(values), rows)


def theta(pooling: GeneralisedPooling, count: int) -> list[Tensor]:
    """θ of METHOD section 9.3 for ``count`` elements, step by step through both directions of the GRU."""
    codes = torch.zeros(count, pooling.code_width, dtype=torch.float64)
    for place in range(count):
        for pair in range(pooling.code_width // 2):
            angle = (place + 1) * 10_000 ** (-2 * pair / pooling.code_width)
            codes[place, 2 * pair], codes[place, 2 * pair + 1] = math.sin(angle), math.cos(angle)
    states = []
    for suffix, order in (("_l0", range(count)), ("_l0_reverse", range(count - 1, -1, -1))):
        weights = {name: getattr(pooling.rnn, f"{name}{suffix}") for name in ("weight_ih", "weight_hh")}
        biases = {name: getattr(pooling.rnn, f"{name}{suffix}") for name in ("bias_ih", "bias_hh")}
        hidden = torch.zeros(pooling.rnn.hidden_size, dtype=torch.float64)
        made = {}
        for place in order:
            inputs = (weights["weight_ih"] @ codes[place] + biases["bias_ih"]).chunk(3)
            states_ = (weights["weight_hh"] @ hidden + biases["bias_hh"]).chunk(3)
            reset, update = (torch.sigmoid(inputs[gate] + states_[gate]) for gate in (0, 1))
            hidden = (1 - update) * torch.tanh(inputs[2] + reset * states_[2]) + update * hidden
            made[place] = hidden
        states.append(made)
    scores = [
        (pooling.score.weight[0] * torch.cat([states[0][place], states[1][place]])).sum() / pooling.temperature
        for place in range(count)
    ]
    total = sum(torch.exp(score) for score in scores)
    return [torch.exp(score) / total for score in scores]


def oracle(name: str, pooling: Pooling) -> Callable[[Tensor], Tensor]:
    def one(elements: list[Tensor]) -> Tensor:
        if isinstance(pooling, GeneralisedPooling):
            weights = theta(pooling, len(elements))
            return torch.stack(
                [
                    sum(w * v for w, v in zip(weights, sorted(feature, key=float, reverse=True), strict=True))
                    for feature in zip(*elements, strict=True)
                ]
            )
        if isinstance(pooling, AttentionPooling):
            raised = [torch.exp(pooling.score.weight @ element + pooling.score.bias) for element in elements]
            return sum(e * v for e, v in zip(raised, elements, strict=True)) / sum(raised)
        if name == "max":
            return torch.stack([max(feature, key=float) for feature in zip(*elements, strict=True)])
        return sum(elements) / len(elements)

    return lambda values: torch.stack([one(list(v[:count])) for v, count in zip(values, COUNTS, strict=True)])


NAMES = ("mean", "max", "generalised", "attention")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_pooling_is_its_formula(name: str, seed: int) -> None:
    pooling, weight = build(name), random(len(COUNTS), WIDTH, seed=50)
    assert_same(
        lambda values: (pooled(pooling, values, MASK) * weight).sum(),
        lambda values: (oracle(name, pooling)(values) * weight).sum(),
        random(3, 4, WIDTH, seed=seed),
    )


@pytest.mark.parametrize("name", NAMES)
def test_without_a_mask_all_elements_count(name: str) -> None:
    pooling, values = build(name), random(3, 4, WIDTH)
    whole = pooled(pooling, values, mask_of([4] * 3, 4))
    torch.testing.assert_close(pooled(pooling, values, None), whole)
    assert not torch.allclose(pooled(pooling, values, MASK), whole)  # negative control


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_elements_does_not_matter_and_padding_neither(name: str) -> None:
    pooling, values = build(name), random(3, 4, WIDTH)
    changed = values.clone()
    changed[0] = values[0, [2, 0, 3, 1]]
    changed[1, 1:] = 77.0
    changed[2, :3] = values[2, [1, 2, 0]]
    torch.testing.assert_close(pooled(pooling, changed, MASK), pooled(pooling, values, MASK))


def test_attention_starts_as_the_mean() -> None:
    values = random(3, 4, WIDTH)
    torch.testing.assert_close(
        pooled(AttentionPooling(WIDTH).double(), values, MASK), pooled(MeanPooling(), values, MASK)
    )


def test_generalised_pooling_reaches_mean_and_maximum() -> None:
    pooling, values = GeneralisedPooling(4, 3).double(), random(3, 4, WIDTH)
    torch.nn.init.zeros_(pooling.score.weight)
    torch.testing.assert_close(pooled(pooling, values, MASK), pooled(MeanPooling(), values, MASK))
    weights = torch.zeros(4, 4, dtype=torch.float64)
    weights[:, 0] = 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GeneralisedPooling, "place_weights", lambda *_: weights)
        torch.testing.assert_close(pooled(pooling, values, MASK), pooled(MaxPooling(), values, MASK))


@pytest.mark.parametrize(("settings", "message"), [({"code_width": 3}, "code_width"), ({"temperature": 0}, "temperat")])
def test_wrong_settings_are_named(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GeneralisedPooling(**settings)
