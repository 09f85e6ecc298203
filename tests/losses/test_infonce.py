"""InfoNCE equals its slow float64 oracle, whatever other captions of the same image are to it."""

from __future__ import annotations

import math

import pytest
import torch

from selfalign.losses.infonce import InfoNceLoss, SameImage, infonce
from tests.losses.test_against_oracles import SEEDS, assert_same, random
from tests.oracles import losses as oracle

IMAGES = [4, 7, 4, 2, 9, 4]


@pytest.mark.parametrize("same_image", ["masked", "positive", "negative"])
@pytest.mark.parametrize("seed", SEEDS)
def test_infonce(seed: int, same_image: SameImage) -> None:
    assert_same(
        lambda s: infonce(s, 0.07, image_ids=torch.tensor(IMAGES), same_image=same_image),
        lambda s: oracle.infonce(s, 0.07, IMAGES, same_image),
        0.2 * random(6, 6, seed=seed),
    )


def test_what_captions_of_the_same_image_are_makes_a_difference() -> None:
    similarity = 0.2 * random(6, 6)
    values = {
        float(infonce(similarity, 0.07, image_ids=torch.tensor(IMAGES), same_image=same_image))
        for same_image in ("masked", "positive", "negative")
    }
    assert len(values) == 3


def test_one_pair_costs_nothing() -> None:
    similarity = random(1, 1).requires_grad_()
    loss = infonce(similarity, 0.07, image_ids=torch.tensor([3]))
    loss.backward()
    assert loss.item() == 0.0
    assert similarity.grad.item() == 0.0


def test_a_fixed_temperature_is_no_parameter_and_a_learned_one_has_a_gradient() -> None:
    assert not list(InfoNceLoss(0.07).parameters())
    loss = InfoNceLoss(0.07, learned=True).double()
    torch.nn.init.constant_(loss.log_temperature, math.log(0.05))
    ids = torch.arange(6)
    found = loss(0.2 * random(6, 6), ids)
    torch.testing.assert_close(found, infonce(0.2 * random(6, 6), 0.05, image_ids=ids))
    found.backward()
    assert loss.log_temperature.grad.abs() > 0


@pytest.mark.parametrize(("start", "end"), [(0.5, 0.1), (0.001, 0.01)])
def test_a_learned_temperature_stays_in_its_range_and_can_come_back(start: float, end: float) -> None:
    loss = InfoNceLoss(0.07, learned=True).double()
    torch.nn.init.constant_(loss.log_temperature, math.log(start))
    loss(0.2 * random(6, 6), torch.arange(6)).backward()
    assert float(loss.temperature) == pytest.approx(end)
    assert loss.log_temperature.grad.abs() > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "temperature: expected a positive number"),
        ({"temperature": 0.5, "learned": True}, "temperature: expected 0.01 to 0.1"),
        ({"same_image": "left"}, "same_image: expected one of masked, positive, negative"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InfoNceLoss(**settings)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype: torch.dtype) -> None:
    similarity = (0.2 * random(6, 6)).to(dtype)
    found = infonce(similarity, 0.01, image_ids=torch.arange(6))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, infonce(similarity.float(), 0.01, image_ids=torch.arange(6)))
