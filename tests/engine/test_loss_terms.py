"""What each loss sees of right and wrong pairs, and how hard it pulls at each tower."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from selfalign.engine.loss_terms import loss_terms
from selfalign.errors import UserError
from tests.engine.modules.test_training import built


def test_each_loss_is_measured_on_right_and_wrong_pairs_and_in_both_towers(scan_folder: Path) -> None:
    module, data = built(scan_folder, "loss.words.weight=2", backbone="vsrn")
    before = {name: values.clone() for name, values in module.state_dict().items()}
    terms = {term.name: term for term in loss_terms(module, data.split("test"), batch_size=2, batches=2)}
    assert set(terms) == set(module.losses)
    assert terms["concept"].image_gradient == 0.0  # it sends none there
    assert terms["concept"].text_gradient > 0
    for name in ("ranking", "context", "words"):
        assert min(terms[name].image_gradient, terms[name].text_gradient) > 0
    assert terms["words"].right != terms["words"].wrong
    assert all(
        torch.equal(values, before[name]) for name, values in module.state_dict().items() if "concept" not in name
    )


def test_a_weight_scales_value_and_gradient(scan_folder: Path) -> None:
    found = []
    for weight in (1, 3):
        module, data = built(scan_folder, f"loss.words.weight={weight}", backbone="vsrn")
        terms = loss_terms(module, data.split("test"), batch_size=2, batches=1)
        found.append(next(term for term in terms if term.name == "words"))
    assert found[1].right == pytest.approx(3 * found[0].right, rel=1e-4)
    assert found[1].text_gradient == pytest.approx(3 * found[0].text_gradient, rel=1e-4)


def test_a_split_of_less_than_a_batch_is_refused(scan_folder: Path) -> None:
    module, data = built(scan_folder, backbone="vsrn")
    with pytest.raises(UserError, match="fewer than a batch of 4000"):
        loss_terms(module, data.split("test"), batch_size=4000, batches=1)
