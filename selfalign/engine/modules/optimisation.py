"""Optimiser and schedule of a training: Adam and steps of ×0.1 as published (METHOD section 7), or another choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from pytorch_lightning.utilities.types import LRSchedulerConfigType
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, StepLR

from selfalign.engine.modules.schedules import Schedule, StepDecay
from selfalign.errors import UserError

_BERT, _WORDS = "backbone.text_tower.bert.", "backbone.text_tower.embedding."


@dataclass(frozen=True)
class Optimisation:
    """How weights are trained; the defaults are the published way.

    Attributes:
        learning_rate: start, or the rate that the warm-up leads to.
        schedule: of the rate after the warm-up.
        prototype_freeze_epochs: epochs in which the prototypes get no gradient (dropped after clipping).
        optimizer: its class.
        settings: its arguments besides the rate. ``weight_decay`` is not for norms and biases.
        bert_rate: factor of BERT's rate.
        word_rate: factor of the word table's rate.
        warm_up_steps: optimiser steps in which the rate rises linearly.
        max_steps: optimiser steps that end the training before its epochs do.
    """

    learning_rate: float
    schedule: Schedule
    prototype_freeze_epochs: int = 0
    optimizer: type[torch.optim.Optimizer] = torch.optim.Adam
    settings: Mapping[str, Any] = field(default_factory=dict)
    bert_rate: float = 1.0
    word_rate: float = 1.0
    warm_up_steps: int = 0
    max_steps: int | None = None

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate: expected a positive number, got {self.learning_rate}")


Length = Callable[[], tuple[int, int]]
"""Optimiser steps of an epoch and of the whole training, asked for once it has begun."""


def build_optimizer(module: nn.Module, how: Optimisation, *, fused: bool) -> torch.optim.Optimizer:
    """The optimiser of all that is trained.

    Raises:
        UserError: if a factor is for a part that the model does not have or does not train.
    """
    settings: dict[str, Any] = {"lr": how.learning_rate, "fused": fused, **how.settings}
    return how.optimizer(parameter_groups(module, how), **settings)


def parameter_groups(module: nn.Module, how: Optimisation) -> list[dict[str, Any]]:
    """Trained parameters in the order of the module: all in one group, or one for each rate and decay.

    Raises:
        UserError: see :func:`build_optimizer`.
    """
    trained = {name: values for name, values in module.named_parameters() if values.requires_grad}
    factors = {_BERT: how.bert_rate, _WORDS: how.word_rate}
    known = {_BERT: ("bert_rate", "BERT"), _WORDS: ("word_rate", "word table")}
    for prefix, factor in factors.items():
        if factor != 1 and not any(name.startswith(prefix) for name in trained):
            setting, part = known[prefix]
            raise UserError(f"optimizer.{setting}: expected 1, got {factor}; this model trains no {part}")
    groups: dict[tuple[float, bool], dict[str, Any]] = {}
    for name, values in trained.items():
        factor = next((factor for prefix, factor in factors.items() if name.startswith(prefix)), 1.0)
        decays = not how.settings.get("weight_decay") or values.ndim > 1  # norms and biases are vectors
        group = groups.setdefault((factor, decays), {"params": [], "lr": how.learning_rate * factor})
        group["params"].append(values)
        if not decays:
            group["weight_decay"] = 0.0
    return list(groups.values())


def build_schedule(optimizer: torch.optim.Optimizer, how: Optimisation, length: Length) -> LRSchedulerConfigType:
    """What Lightning takes as ``lr_scheduler``."""
    if isinstance(how.schedule, StepDecay) and not how.warm_up_steps:  # the published way, to the last bit
        steps = StepLR(optimizer, how.schedule.decay_every, gamma=how.schedule.decay_factor)
        return {"scheduler": steps, "interval": "epoch"}
    return {"scheduler": LambdaLR(optimizer, rate_factor(how, length)), "interval": "step"}


def rate_factor(how: Optimisation, length: Length) -> Callable[[int], float]:
    """The share of the learning rate at a step, from 0: a linear warm-up, then the schedule.

    Epochs are counted from the first step, warm-up included; what has a length, as a cosine, begins after the warm-up.

    Example:
        >>> from selfalign.engine.modules.schedules import Cosine
        >>> factor = rate_factor(Optimisation(1e-3, Cosine(0.0), warm_up_steps=2), lambda: (5, 10))
        >>> [round(factor(step), 2) for step in (0, 1, 2, 6, 10)]
        [0.5, 1.0, 1.0, 0.5, 0.0]
    """

    def factor(step: int) -> float:
        if step < how.warm_up_steps:
            return (step + 1) / how.warm_up_steps
        if step == 0:  # the length is known once training has begun
            return 1.0
        epoch, total = length()
        warm_up = 0 if isinstance(how.schedule, StepDecay) else how.warm_up_steps
        return how.schedule(step - warm_up, epoch, total - warm_up)

    return factor
