"""How words use prototypes: counted as the concept loss counts words, over all processes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot

from selfalign.engine.callbacks.prototype_use import PrototypeUse, normalised_entropy, prototype_histogram
from selfalign.losses.concept_alignment import ConceptAlignmentLoss
from selfalign.processes.exchange import current
from tests.distributed_runner import Pool

PROTOTYPES = 6


def test_padding_chooses_no_prototype() -> None:
    words, prototypes = (normalize(torch.randn(shape), dim=-1) for shape in ((3, 5, 8), (PROTOTYPES, 8)))
    lengths = torch.tensor([5, 2, 1])
    mask = torch.arange(5) < lengths[:, None]
    expected = torch.zeros(PROTOTYPES, dtype=torch.int64)
    for row, length in enumerate(lengths.tolist()):
        for word in words[row, :length]:
            expected[int((prototypes @ word).argmax())] += 1
    assert torch.equal(prototype_histogram(words, mask, prototypes), expected)
    assert not torch.equal(prototype_histogram(words, torch.ones_like(mask), prototypes), expected)


@pytest.mark.parametrize(("histogram", "entropy"), [([7, 0, 0, 0], 0.0), ([5, 5, 5, 5], 1.0), ([2, 2, 0, 0], 0.5)])
def test_entropy_goes_from_one_prototype_to_all(histogram: list[int], entropy: float) -> None:
    assert float(normalised_entropy(torch.tensor(histogram))) == pytest.approx(entropy)


class Run:
    """A training of the callback alone: each step has two pairs, whose words choose the prototypes given."""

    def __init__(self, every: int) -> None:
        self.loss = ConceptAlignmentLoss(PROTOTYPES, prototypes=PROTOTYPES)
        with torch.no_grad():
            self.loss.prototypes.copy_(torch.eye(PROTOTYPES))
        self.logged: list[dict[str, float]] = []
        self.module = SimpleNamespace(
            losses=nn.ModuleDict({"concept": self.loss}),
            log_dict=lambda figures: self.logged.append({name: float(value) for name, value in figures.items()}),
        )
        self.trainer = SimpleNamespace(global_step=0)
        self.callback = PrototypeUse(every)
        self.callback.on_fit_start(self.trainer, self.module)

    def step(self, chosen: list[int]) -> None:
        self.callback.on_train_batch_start(self.trainer)
        words = one_hot(torch.tensor(chosen), PROTOTYPES).float().expand(2, -1, -1)
        regions: Tensor = normalize(torch.rand(2, 3, PROTOTYPES), dim=-1)
        self.loss(regions, words, torch.ones(2, len(chosen), dtype=torch.bool), current())
        self.trainer.global_step += 1
        self.callback.on_train_batch_end(self.trainer, self.module)


def test_unused_prototypes_are_those_of_ten_measured_batches() -> None:
    run = Run(every=1)
    for step in range(12):
        run.step([0, 1] if step == 0 else [1, 2])
    assert ["train/prototypes_unused" in figures for figures in run.logged] == [False] * 9 + [True] * 3
    unused = [figures["train/prototypes_unused"] for figures in run.logged[9:]]
    assert unused == pytest.approx([50.0, 100 * 4 / 6, 100 * 4 / 6])  # the first step has left the window


def test_only_logging_steps_are_measured() -> None:
    run = Run(every=5)
    for _ in range(12):
        run.step([3])
    assert run.logged == [{"train/prototype_entropy": 0.0}] * 2
    run.callback.teardown(run.trainer, run.module, "fit")
    for _ in range(5):
        run.step([3])
    assert len(run.logged) == 2


def shared_entropy() -> float:
    run = Run(every=1)
    run.step([current().rank])
    return run.logged[0]["train/prototype_entropy"]


def test_the_histogram_is_that_of_all_processes(pool: Pool) -> None:
    counts = torch.tensor([2] * pool.size + [0] * (PROTOTYPES - pool.size))
    assert pool(shared_entropy) == pytest.approx([float(normalised_entropy(counts))] * pool.size)
    assert shared_entropy() == 0
