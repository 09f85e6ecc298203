"""A GPU's host waits in a training step where it is known to, and looks for broken numbers when figures are logged.

The numbers below are all that is left between two logging steps, each with its place.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from selfalign.engine.callbacks.reproducer import Reproducer
from selfalign.engine.modules.retrieval import RetrievalModule
from selfalign.engine.modules.two_tower import TwoTowerModule
from selfalign.errors import NonFiniteError
from selfalign.runs.reproduction import read_reproduction
from tests.engine.modules.test_training import built, trainer
from tests.engine.modules.waits import CountWaits

LOG_EVERY = 3
TUNED = ("recipe=tuned", "loss=infonce", "backbone.width=8", "backbone.heads=2")
CASES = {
    # Real words are found in a mask (text tower, its context, concept loss); BERT's own code asks whether all words are
    # real, and short captions go through it apart, on a CPU only: the two scalars.
    "camera": ("camera", (), {"nonzero": 3, "index": 1, "_local_scalar_dense": 2}),
    "camera, tuned": ("camera", TUNED, {"nonzero": 1, "_local_scalar_dense": 2}),
    "camera, guided": ("camera", ("loss=guided",), {"nonzero": 1, "_local_scalar_dense": 2}),
    # Besides, the lengths of captions go to the CPU for packing, whose own two scalars are there already; the caption
    # decoder's target is as long as the longest caption.
    "vsrn": ("vsrn", (), {"nonzero": 5, "index": 2, "_local_scalar_dense": 3}),
    "vsrn, tuned": ("vsrn", TUNED[:-1], {"nonzero": 2, "_local_scalar_dense": 2}),
    "linear": ("linear", ("loss=infonce",), {"nonzero": 1}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_step_between_two_logging_steps_waits_so_often_and_no_more(name: str, scan_folder: Path) -> None:
    backbone, settings, known = CASES[name]
    module, data = built(scan_folder, *settings, backbone=backbone)
    module.waits_rarely = True
    waits = CountWaits()
    trainer(scan_folder, waits, epochs=1, log_every_n_steps=LOG_EVERY).fit(module, data)
    quiet = {step: dict(found) for step, found in waits.found.items() if step % LOG_EVERY}
    assert quiet == dict.fromkeys((1, 2, 4, 5), known)


class Weights(pl.Callback):
    """Notes the trained weights after each step, and each batch's captions."""

    def __init__(self) -> None:
        self.after: list[list[Tensor]] = []
        self.captions: list[list[int]] = []

    def on_train_batch_start(self, trainer: pl.Trainer, module: RetrievalModule, batch: Any, index: int) -> None:
        self.captions.append(batch.captions.ids.tolist())

    def on_train_batch_end(self, trainer: pl.Trainer, module: RetrievalModule, *_: Any) -> None:
        self.after.append(trained(module))


def trained(module: RetrievalModule) -> list[Tensor]:
    """Weights that only an optimiser moves; prototypes get their unit length back in each forward pass."""
    named = module.named_parameters()
    return [values.detach().clone() for name, values in named if not name.endswith("prototypes")]


def test_weights_do_not_depend_on_when_it_is_looked(scan_folder: Path) -> None:
    found = []
    for rarely in (False, True):
        module, data = built(scan_folder)
        module.waits_rarely = rarely
        weights = Weights()
        trainer(scan_folder, weights, epochs=1, log_every_n_steps=LOG_EVERY).fit(module, data)
        found.append(weights.after)
    for one, other in zip(*found, strict=True):
        assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))


def test_a_broken_step_is_named_steps_later_with_its_batch_and_the_weights_before_it(
    scan_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, data = built(scan_folder, backbone="vsrn")
    module.waits_rarely = True
    plain = TwoTowerModule.loss_terms

    def poisoned(self: TwoTowerModule, *given: Any) -> dict[str, Tensor]:
        terms = plain(self, *given)
        return terms | ({"ranking": terms["ranking"] * torch.inf} if self.global_step == 1 else {})

    monkeypatch.setattr(TwoTowerModule, "loss_terms", poisoned)
    weights = Weights()
    with pytest.raises(
        NonFiniteError, match=r"step 2: loss inf, gradient norm nan; stopped before the weights took it"
    ):
        trainer(scan_folder, weights, Reproducer(tmp_path, module.provenance), log_every_n_steps=4).fit(module, data)
    assert len(weights.captions) == 4
    for values in zip(weights.after[0], trained(module), strict=True):
        assert torch.equal(*values)
    step = read_reproduction(tmp_path / "reproducer.pt")
    assert step.step == 1
    assert step.batch.captions.ids.tolist() == weights.captions[1]
    assert step.batch.images.regions.shape == (12, 4, 10)


def test_nothing_is_validated_after_a_broken_step(
    scan_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, data = built(scan_folder, backbone="vsrn")
    module.waits_rarely = True
    monkeypatch.setattr(torch.nn.utils, "get_total_norm", lambda *_: torch.tensor(torch.nan))
    with pytest.raises(NonFiniteError, match="step 1"):
        trainer(scan_folder, epochs=1, log_every_n_steps=50).fit(module, data)
    assert module.recall.expected != (6, 30)
