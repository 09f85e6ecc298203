"""The moving average of the weights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from selfalign.engine.callbacks.averaged_weights import AveragedWeights

DECAY = 0.7


class Small(pl.LightningModule):
    """A trained map, a frozen one, and statistics of BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.trained, self.frozen, self.norm = nn.Linear(3, 2), nn.Linear(3, 2).requires_grad_(False), nn.BatchNorm1d(2)


def test_every_step_moves_the_averages_towards_the_weights_and_frozen_ones_stay_to_the_last_bit() -> None:
    torch.manual_seed(0)
    module, averages = Small(), AveragedWeights(DECAY)
    averages.setup(SimpleNamespace(), module, "fit")  # type: ignore[arg-type]
    expected: dict[str, torch.Tensor] = {}
    for number in range(1, 6):
        nn.init.normal_(module.trained.weight)
        nn.init.normal_(module.norm.running_mean)
        values = {"trained.weight": module.trained.weight, "norm.running_mean": module.norm.running_mean}
        for name, value in values.items():
            before = expected.get(name)  # it begins with the weights after the first step
            now = value.detach().double()
            expected[name] = now if before is None else DECAY * before + (1 - DECAY) * now
        trainer: Any = SimpleNamespace(global_step=number)
        averages.on_train_batch_end(trainer, module, None, None, number)
    found = averages._average_model.module.state_dict()
    for name, value in expected.items():
        torch.testing.assert_close(found[name].double(), value, rtol=1e-5, atol=1e-6)
        assert not torch.equal(found[name], module.state_dict()[name])
    assert torch.equal(found["frozen.weight"], module.frozen.weight)
