"""What the Trainer does to the weights, step by step, against Adam and clipping by hand."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from selfalign.engine import training
from selfalign.engine.callbacks.collapse_warnings import CollapseWarnings
from selfalign.engine.callbacks.validate_every import ValidateEvery
from selfalign.engine.modules.camera_module import CameraModule
from selfalign.engine.modules.optimisation import Optimisation, parameter_groups, rate_factor
from selfalign.engine.modules.retrieval import RetrievalModule
from selfalign.engine.modules.schedules import Constant, Cosine, StepDecay
from selfalign.engine.modules.two_tower import TwoTowerModule
from selfalign.engine.modules.vsrn_module import VsrnModule
from selfalign.errors import NonFiniteError, UserError
from tests.engine.callbacks.test_resuming import settings
from tests.engine.modules.test_training import Watch, built, trainer

CLIP, RATE, FROZEN_EPOCHS = 0.5, 0.01, 1


class Notes(pl.Callback):
    """Raw gradients of every step, and the weights before the first one and after each."""

    def __init__(self) -> None:
        self.gradients: list[dict[str, Tensor]] = []
        self.weights: list[dict[str, Tensor]] = []
        self.epochs: list[int] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._note(pl_module)

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        named = pl_module.named_parameters()
        self.gradients.append({name: values.grad.clone() for name, values in named if values.grad is not None})
        self.epochs.append(trainer.current_epoch)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self._note(pl_module)

    def _note(self, module: pl.LightningModule) -> None:
        named = module.named_parameters()
        self.weights.append({name: values.detach().clone() for name, values in named if values.requires_grad})


def adam_by_hand(notes: Notes, rates: list[float]) -> list[dict[str, Tensor]]:
    """(Kingma and Ba, 2015), β .9 and .999, ε 1e-8, no decay; the norm counts the prototypes, whose gradient is then
    dropped in the first epochs; a parameter without gradient stays."""
    weights = {name: values.double() for name, values in notes.weights[0].items()}
    first = {name: torch.zeros_like(values) for name, values in weights.items()}
    second = {name: torch.zeros_like(values) for name, values in weights.items()}
    counts = dict.fromkeys(weights, 0)
    found = []
    for gradients, epoch, rate in zip(notes.gradients, notes.epochs, rates, strict=True):
        norm = torch.stack([values.double().square().sum() for values in gradients.values()]).sum().sqrt()
        scale = min(1.0, CLIP / float(norm + 1e-6))
        for name, gradient in gradients.items():
            if "prototypes" in name:  # every use makes its rows unit vectors
                weights[name] = torch.nn.functional.normalize(weights[name], dim=-1)
                if epoch < FROZEN_EPOCHS:
                    continue
            gradient = scale * gradient.double()
            counts[name] += 1
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.999 * second[name] + 0.001 * gradient.square()
            mean, square = first[name] / (1 - 0.9 ** counts[name]), second[name] / (1 - 0.999 ** counts[name])
            weights[name] = weights[name] - rate * mean / (square.sqrt() + 1e-8)
        found.append(dict(weights))
    return found


def test_ten_steps_are_adam_after_clipping_with_the_prototypes_in_the_norm(
    scan_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of training.train, two epochs of five steps, the rate ×0.1 in the second."""
    notes = Notes()
    monkeypatch.setattr(CollapseWarnings, "on_fit_start", lambda _, *seen: notes.on_fit_start(*seen))
    monkeypatch.setattr(CollapseWarnings, "on_after_backward", lambda _, *seen: notes.on_after_backward(*seen))
    monkeypatch.setattr(CollapseWarnings, "on_train_batch_end", lambda _, *seen: notes.on_train_batch_end(*seen))
    config = settings(
        scan_folder,
        "vsrn",
        f"training.clip_norm={CLIP}",
        f"training.learning_rate={RATE}",
        f"loss.concept.freeze_epochs={FROZEN_EPOCHS}",
        "training.epochs=2",
        "training.decay_every=1",
    )
    training.train(config, tmp_path, [])
    expected = adam_by_hand(notes, [RATE] * 5 + [0.1 * RATE] * 5)
    assert len(expected) == 10 == len(notes.weights) - 1
    for found, wanted in zip(notes.weights[1:], expected, strict=True):
        assert found.keys() == wanted.keys()
        for name, values in found.items():
            torch.testing.assert_close(values, wanted[name].float(), rtol=0, atol=2e-5, msg=name)
    moved = max(float((notes.weights[0][name] - notes.weights[-1][name]).abs().max()) for name in notes.weights[0])
    assert moved > 100 * 2e-5  # negative control
    norms = [torch.nn.utils.get_total_norm(list(gradients.values())) for gradients in notes.gradients]
    assert all(norm > 2 * CLIP for norm in norms)


def test_added_up_gradients_take_one_step_and_are_validated_once(scan_folder: Path) -> None:
    """Five batches an epoch, two a step: steps after batches 2, 4 and 5."""
    module, data = built(scan_folder, backbone="vsrn")
    watch, notes = Watch(), Notes()
    trainer(scan_folder, ValidateEvery(2), watch, notes, accumulate_grad_batches=2).fit(module, data)
    assert watch.validated == [2, 3, 4, 6]
    weights = [values["backbone.image_tower.project.weight"] for values in notes.weights]
    changed = [not torch.equal(before, after) for before, after in itertools.pairwise(weights)]
    assert changed == [False, True, False, True, True] * 2


def test_a_loss_that_is_no_number_stops_although_gradients_are(
    scan_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, data = built(scan_folder, backbone="vsrn")
    plain = TwoTowerModule.loss_terms

    def poisoned(self: TwoTowerModule, *given: Any) -> dict[str, Tensor]:
        terms = plain(self, *given)
        return terms | ({"ranking": terms["ranking"] + torch.nan} if self.global_step == 1 else {})

    monkeypatch.setattr(TwoTowerModule, "loss_terms", poisoned)
    with pytest.raises(NonFiniteError, match=r"step 2: loss nan, gradient norm [0-9]"):
        trainer(scan_folder).fit(module, data)


def test_weights_are_drawn_from_the_seed_of_the_run(scan_folder: Path, tmp_path: Path) -> None:
    def drawn(seed: int, name: str) -> Tensor:
        tiny = ("training.epochs=1", "training.learning_rate=1e-30", "trainer.limit_train_batches=1", f"seed={seed}")
        training.train(settings(scan_folder, "vsrn", "loss=baseline", *tiny), tmp_path / name, [])
        weights = torch.load(tmp_path / name / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
        return weights["backbone.image_tower.project.weight"]

    assert torch.equal(drawn(5, "a"), drawn(5, "b"))
    assert not torch.equal(drawn(5, "a2"), drawn(6, "c"))


def test_norms_and_biases_do_not_decay_and_parts_have_their_rates(scan_folder: Path) -> None:
    module, _ = built(scan_folder, backbone="vsrn")
    how = Optimisation(0.01, StepDecay(1), optimizer=torch.optim.AdamW, settings={"weight_decay": 0.1}, word_rate=10)
    names = {id(values): name for name, values in module.named_parameters()}
    groups = {
        (group["lr"], group.get("weight_decay", 0.1)): {names[id(values)] for values in group["params"]}
        for group in parameter_groups(module, how)
    }
    assert groups[0.1, 0.1] == {"backbone.text_tower.embedding.weight"}
    assert all("bias" in name or "norm" in name for name in groups[0.01, 0.0])
    assert "backbone.image_tower.project.weight" in groups[0.01, 0.1]
    trained = [values for values in module.parameters() if values.requires_grad]
    assert sum(len(group) for group in groups.values()) == len(trained)
    (group,) = parameter_groups(module, Optimisation(0.01, StepDecay(1)))
    assert [id(values) for values in group["params"]] == [id(values) for values in trained]
    with pytest.raises(UserError, match=r"optimizer\.bert_rate.*trains no BERT"):
        parameter_groups(module, Optimisation(0.01, StepDecay(1), bert_rate=0.1))


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (Optimisation(1.0, Constant(), warm_up_steps=4), [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]),
        (Optimisation(1.0, StepDecay(1), warm_up_steps=2), [0.5, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01]),
        (
            Optimisation(1.0, Cosine(0.0)),
            [1, 0.9619, 0.8536, 0.6913, 0.5, 0.3087, 0.1464, 0.0381],
        ),
    ],
)
def test_the_rate_follows_its_schedule(how: Optimisation, expected: list[float]) -> None:
    """Epochs of three steps, eight steps in all."""
    factor = rate_factor(how, lambda: (3, 8))
    assert [factor(step) for step in range(8)] == pytest.approx(expected, abs=1e-4)


def test_a_module_loads_from_its_checkpoint_alone_and_validates_tests_and_predicts(scan_folder: Path) -> None:
    module, data = built(scan_folder, backbone="vsrn")
    fit = trainer(scan_folder, epochs=1)
    fit.fit(module, data)
    fit.save_checkpoint(scan_folder / "a.ckpt")
    expected = fit.validate(module, data, verbose=False)[0]
    again = VsrnModule.load_from_checkpoint(scan_folder / "a.ckpt")
    assert type(again) is VsrnModule
    assert not again.training
    assert again.hparams["region_width"] == 10
    assert trainer(scan_folder).validate(again, data, verbose=False)[0] == expected
    tested = trainer(scan_folder).test(again, data, verbose=False)[0]
    assert 0 < tested["test/rsum"] <= 600
    images, captions = trainer(scan_folder).predict(again, data)
    assert torch.cat([batch["ids"] for batch in images]).tolist() == list(range(8))
    assert sorted(torch.cat([batch["ids"] for batch in captions]).tolist()) == list(range(40))
    assert isinstance(RetrievalModule.load_from_checkpoint(scan_folder / "a.ckpt"), RetrievalModule)
    with pytest.raises(UserError, match="expected the settings of camera, got vsrn"):
        CameraModule.load_from_checkpoint(scan_folder / "a.ckpt")
