"""Optimiser and schedule of a training: Adam and steps of ×0.1 as published (METHOD section 7), or another choice."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from pytorch_lightning.utilities.types import LRSchedulerConfigType
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, StepLR

from selfalign.errors import UserError

_OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
_SCHEDULES = ("step", "cosine", "constant")
_BERT, _WORDS = "backbone.text_tower.bert.", "backbone.text_tower.embedding."


@dataclass(frozen=True)
class Optimisation:
    """How weights are trained; the defaults are the published way.

    Attributes:
        learning_rate: start, or the rate that the warm-up leads to.
        decay_every: epochs after which the rate is multiplied by ``decay_factor``, again and again (``step``).
        decay_factor: 0.1 as published.
        prototype_freeze_epochs: epochs in which the prototypes get no gradient (dropped after clipping).
        optimizer: ``adam``, or ``adamw``, whose decay does not depend on the gradient.
        weight_decay: of AdamW; norms and biases have none.
        bert_rate: factor of BERT's rate.
        word_rate: factor of the word table's rate.
        schedule: ``step``, ``cosine`` down to ``final_rate``, or ``constant``.
        warm_up_steps: optimiser steps in which the rate rises linearly.
        final_rate: share of the rate that cosine ends at.
        max_steps: optimiser steps that end the training before its epochs do.
    """

    learning_rate: float
    decay_every: int = 1
    decay_factor: float = 0.1
    prototype_freeze_epochs: int = 0
    optimizer: str = "adam"
    weight_decay: float = 0.0
    bert_rate: float = 1.0
    word_rate: float = 1.0
    schedule: str = "step"
    warm_up_steps: int = 0
    final_rate: float = 0.01
    max_steps: int | None = None

    def __post_init__(self) -> None:
        for name in ("learning_rate", "bert_rate", "word_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected a positive number, got {getattr(self, name)}")
        for name in ("weight_decay", "warm_up_steps", "final_rate"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: expected at least 0, got {getattr(self, name)}")
        if self.decay_every < 1:
            raise ValueError(f"decay_every: expected at least 1 epoch, got {self.decay_every}")
        for name, known in (("optimizer", tuple(_OPTIMIZERS)), ("schedule", _SCHEDULES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: expected one of {', '.join(known)}, got {getattr(self, name)!r}")
        if self.weight_decay and self.optimizer == "adam":
            raise ValueError(f"weight_decay: expected 0 with adam, got {self.weight_decay}; adamw decays weights")


class Length(Protocol):
    """How long a training is, asked for once it has begun."""

    def __call__(self) -> tuple[int, int]:
        """Optimiser steps of an epoch, and of the whole training."""


def build_optimizer(module: nn.Module, how: Optimisation, *, fused: bool) -> torch.optim.Optimizer:
    """The optimiser of all that is trained.

    Raises:
        UserError: if a factor is for a part that the model does not have or does not train.
    """
    kind = _OPTIMIZERS[how.optimizer]
    settings: dict[str, Any] = {"lr": how.learning_rate, "fused": fused}
    if how.optimizer == "adamw":
        settings["weight_decay"] = how.weight_decay
    return kind(parameter_groups(module, how), **settings)


def parameter_groups(module: nn.Module, how: Optimisation) -> list[dict[str, Any]]:
    """Trained parameters in the order of the module: all in one group, or one for each rate and decay.

    Raises:
        UserError: see :func:`build_optimizer`.
    """
    trained = {name: values for name, values in module.named_parameters() if values.requires_grad}
    rates = {_BERT: how.bert_rate, _WORDS: how.word_rate}
    settings = {_BERT: ("bert_rate", "BERT"), _WORDS: ("word_rate", "word table")}
    for prefix, rate in rates.items():
        if rate != 1 and not any(name.startswith(prefix) for name in trained):
            setting, part = settings[prefix]
            raise UserError(f"optimizer.{setting}: expected 1, got {rate}; this model trains no {part}")
    groups: dict[tuple[float, bool], dict[str, Any]] = {}
    for name, values in trained.items():
        rate = next((rate for prefix, rate in rates.items() if name.startswith(prefix)), 1.0)
        decays = not how.weight_decay or values.ndim > 1  # norms and biases are vectors
        group = groups.setdefault((rate, decays), {"params": [], "lr": how.learning_rate * rate})
        group["params"].append(values)
        if not decays:
            group["weight_decay"] = 0.0
    return list(groups.values())


def build_schedule(optimizer: torch.optim.Optimizer, how: Optimisation, length: Length) -> LRSchedulerConfigType:
    """What Lightning takes as ``lr_scheduler``."""
    if how.schedule == "step" and not how.warm_up_steps:
        return {"scheduler": StepLR(optimizer, how.decay_every, gamma=how.decay_factor), "interval": "epoch"}
    return {"scheduler": LambdaLR(optimizer, rate_factor(how, length)), "interval": "step"}


def rate_factor(how: Optimisation, length: Length) -> Callable[[int], float]:
    """The share of the learning rate at a step, from 0.

    Example:
        >>> how = Optimisation(1e-3, schedule="cosine", warm_up_steps=2, final_rate=0.0)
        >>> factor = rate_factor(how, lambda: (5, 10))
        >>> [round(factor(step), 2) for step in (0, 1, 2, 6, 10)]
        [0.5, 1.0, 1.0, 0.5, 0.0]
    """

    def factor(step: int) -> float:
        rise = (step + 1) / how.warm_up_steps if step < how.warm_up_steps else 1.0
        if step == 0 or how.schedule == "constant":  # the length is known once training has begun
            return rise
        epoch, total = length()
        if how.schedule == "step":
            return rise * how.decay_factor ** (step // epoch // how.decay_every)
        if step < how.warm_up_steps:
            return rise
        done = min(1.0, (step - how.warm_up_steps) / max(1, total - how.warm_up_steps))
        return how.final_rate + (1 - how.final_rate) * 0.5 * (1 + math.cos(math.pi * done))

    return factor
