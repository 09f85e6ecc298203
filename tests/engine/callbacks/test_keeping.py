"""Which weights are kept, and what every process draws."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from selfalign.engine.callbacks.averaged_weights import AveragedWeights, TrainedWeightsAgain
from selfalign.engine.callbacks.keep_best import KeepBest
from selfalign.engine.modules import two_tower
from selfalign.engine.modules.two_tower import TwoTowerModule
from selfalign.processes.exchange import Processes
from tests.engine.modules.test_training import built, trainer


@pytest.mark.parametrize(("figures", "kept"), [([3.0, 5.0, 5.0, 4.0], [0, 1]), ([5.0, 5.0], [0])])
def test_a_later_checkpoint_that_is_as_good_does_not_replace_the_best(figures: list[float], kept: list[int]) -> None:
    saved = []
    best = KeepBest(Path("best.ckpt"))
    for number, figure in enumerate(figures):
        seen: Any = SimpleNamespace(
            callback_metrics={"val/selection": torch.tensor(figure)},
            sanity_checking=False,
            save_checkpoint=lambda path, weights_only, number=number: saved.append(number),
        )
        best.on_validation_end(seen, None)  # type: ignore[arg-type]
    assert saved == kept


def test_every_process_draws_dropout_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    for rank in range(3):
        monkeypatch.setattr(two_tower, "current", lambda rank=rank: Processes(rank, 3))
        torch.manual_seed(7)
        TwoTowerModule.on_fit_start(torch.nn.Module())  # type: ignore[arg-type]
        drawn.append(torch.rand(8))
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[1], drawn[2])


class Validated(pl.Callback):
    """The weights of each validation, as the callbacks that keep and draw see them, and after it."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []
        self.trained: list[torch.Tensor] = []
        self.steps: list[torch.Tensor] = []

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.seen.append(pl_module.backbone.image_tower.project.weight.detach().clone())

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.steps.append(pl_module.backbone.image_tower.project.weight.detach().clone())


def test_the_best_checkpoint_holds_the_averaged_weights_that_were_validated(scan_folder: Path) -> None:
    """One validation, after five steps; decay one half."""
    module, data = built(scan_folder, "training.learning_rate=0.01", backbone="vsrn")
    averages, watch, path = AveragedWeights(0.5), Validated(), scan_folder / "best.ckpt"
    callbacks = (averages, KeepBest(path), watch, TrainedWeightsAgain(averages))
    trainer(scan_folder, *callbacks, epochs=1).fit(module, data)
    expected = watch.steps[0]
    for weight in watch.steps[1:]:
        expected = 0.5 * expected + 0.5 * weight
    torch.testing.assert_close(watch.seen[0], expected)
    kept = torch.load(path, weights_only=True)["state_dict"]["backbone.image_tower.project.weight"]
    assert torch.equal(kept, watch.seen[0])
    assert not torch.allclose(kept, watch.steps[-1], atol=1e-4)  # negative control
