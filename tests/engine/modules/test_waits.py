"""A GPU's host asks for no value in a training step, and looks for broken numbers when figures are logged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from selfalign.engine.callbacks.reproducer import Reproducer
from selfalign.engine.modules.retrieval import RetrievalModule
from selfalign.engine.modules.two_tower import TwoTowerModule
from selfalign.errors import NonFiniteError
from selfalign.functional.masking import RealRows
from selfalign.runs.reproduction import read_reproduction
from tests.conftest import write_scan_folder
from tests.engine.modules.test_training import built, trainer
from tests.engine.modules.waits import CountWaits, without_values

LOG_EVERY = 3
TUNED = ("recipe=tuned", "loss=infonce", "backbone.width=8", "backbone.heads=2")
AUGMENTED = ("augmentation.regions=0.5", "augmentation.words=0.5")
POOLED = ("backbone.image_pooling=generalised", "backbone.text_pooling=generalised")
CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "camera": ("camera", ()),
    "camera, tuned": ("camera", TUNED),
    "camera, guided": ("camera", ("loss=guided",)),
    "camera, words, augmented": ("camera", ("loss=words", *AUGMENTED)),
    "camera, BERT trained, few neighbours": ("camera", ("backbone.bert.frozen=false", "backbone.bert.window=2")),
    "camera, padding of the paper": ("camera", ("padding=paper",)),
    "camera, generalised pooling": ("camera", (*POOLED, "loss.diversity.weight=0")),
    "vsrn": ("vsrn", ()),
    "vsrn, tuned": ("vsrn", TUNED[:-1]),
    "vsrn, words, augmented": ("vsrn", ("loss=words", *AUGMENTED)),
    "linear": ("linear", ("loss=infonce",)),
}
ON_THE_HOST = {
    # A packed GRU asks its own list of batch sizes, which lies on the host wherever the model is, for the first one:
    # VSRN's over words, and the one of each generalised pooling.
    "camera, generalised pooling": {"_local_scalar_dense": 4},
    "vsrn": {"_local_scalar_dense": 2},
    "vsrn, tuned": {"_local_scalar_dense": 2},
    "vsrn, words, augmented": {"_local_scalar_dense": 2},
}
"""All that the counter sees between two logging steps; of none of it a GPU is asked, as the ``meta`` device shows."""


@pytest.fixture(params=[False, True], ids=["as many regions in all", "numbers of regions differ"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    root = write_scan_folder(tmp_path / "scan", {"train": 12, "dev": 6, "test": 8})
    if request.param:
        for split, images in (("train", 12), ("dev", 6), ("test", 8)):
            counts = np.arange(images) % 4 + 1
            features = np.load(root / f"{split}_ims.npy")
            np.save(root / f"{split}_ims.npy", features * (np.arange(4) < counts[:, None])[..., None])
            np.save(root / f"{split}_num_regions.npy", counts)
    return root


@pytest.mark.parametrize("name", CASES)
def test_a_step_between_two_logging_steps_waits_for_nothing(name: str, scan_folder: Path) -> None:
    backbone, settings = CASES[name]
    module, data = built(scan_folder, *settings, backbone=backbone)
    module.waits_rarely = True
    waits = CountWaits()
    trainer(scan_folder, waits, epochs=1, log_every_n_steps=LOG_EVERY).fit(module, data)
    quiet = {step: dict(found) for step, found in waits.found.items() if step % LOG_EVERY}
    assert quiet == dict.fromkeys((1, 2, 4, 5), ON_THE_HOST.get(name, {}))


@pytest.mark.parametrize("name", CASES)
def test_a_step_needs_no_value_of_a_tensor_on_another_device(name: str, folder: Path) -> None:
    backbone, settings = CASES[name]
    module, data = built(folder, *settings, backbone=backbone)
    batch = next(iter(data.train_dataloader()))
    module.log = module.log_dict = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    module.train().to("meta")
    with without_values() as sent:
        batch = data.transfer_batch_to_device(batch, torch.device("meta"), 0)
        loss = module.training_step(batch, 0)
        loss.backward()
    assert loss.is_meta
    assert all(values.grad.is_meta for values in module.parameters() if values.grad is not None)
    assert sent.waited
    assert not any(sent.waited)


QUESTIONS: dict[str, Callable[[Tensor], Any]] = {
    "a mask without counts": lambda mask: RealRows(mask.shape, mask),
    "rows of a mask": lambda mask: mask[mask],
    "a number": lambda mask: int(mask.sum()),
    "a condition": lambda mask: bool(mask.all()),
    "a list": lambda mask: mask.sum(dim=1).tolist(),
    "a copy on the host": lambda mask: mask.sum(dim=1).cpu(),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_there_a_question_is_refused(name: str) -> None:
    mask = torch.ones(2, 3, dtype=torch.bool, device="meta")
    with without_values(), pytest.raises((RuntimeError, NotImplementedError)):
        QUESTIONS[name](mask)


@pytest.mark.parametrize(("send", "waits"), [({}, True), ({"non_blocking": True}, False)])
def test_there_it_is_seen_whether_the_host_waits_until_a_tensor_is_sent(send: dict[str, bool], waits: bool) -> None:
    with without_values() as sent:
        torch.ones(2).to("meta", **send)
    assert sent.waited == [waits]


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
