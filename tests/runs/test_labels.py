"""Names of runs say which losses they have."""

from __future__ import annotations

import pytest

from selfalign.runs.labels import loss_name
from tests.configs.test_composition import composed

NAMES = {
    "loss=selfalign": "selfalign",
    "loss=baseline": "baseline",
    "loss=concept": "concept",
    "loss=baseline loss.towers=selfalign": "baseline towers=selfalign",
    "loss=infonce": "infonce",
    "loss=words": "infonce+words",
    "loss=selfalign loss.words.weight=1": "selfalign+words",
    "loss=selfalign loss.ranking=infonce": "infonce+selfalign",
    "loss=baseline loss.ranking=infonce": "infonce towers=original",
}


@pytest.mark.parametrize(("settings", "name"), NAMES.items())
def test_a_name_tells_the_ranking_loss_and_every_term(settings: str, name: str) -> None:
    assert loss_name(composed("data=f30k", *settings.split())["loss"]) == name
