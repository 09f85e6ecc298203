"""Flags of Lightning's Trainer, and callbacks that a run may have besides its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from selfalign.settings.field import group, setting

_TIME = re.compile(r"\d+:\d\d:\d\d:\d\d")
_LIMIT = "batches that are used, or the share of them, as 0.1; null: all"


@dataclass(frozen=True)
class Trainer:
    """Lightning's own names; each does what Lightning says."""

    fast_dev_run: bool | int = setting(
        False, at_least=0, doc="so many batches of training, validation and test (true: one); nothing is kept"
    )
    limit_train_batches: int | float | None = setting(None, above=0, doc=_LIMIT)
    limit_val_batches: int | float | None = setting(
        None, above=0, doc=f"{_LIMIT}; recalls are then those of a part and no protocol's"
    )
    limit_test_batches: int | float | None = setting(
        None, above=0, matters=False, doc=f"{_LIMIT}; recalls are then those of a part and no protocol's"
    )
    overfit_batches: int | float = setting(
        0, at_least=0, doc="batches of training and validation, or the share of them, the same ones in every epoch"
    )
    accumulate_grad_batches: int = setting(
        1, at_least=1, unit="batches", doc="whose gradients add up to an optimiser step"
    )
    profiler: Literal["simple", "advanced", "pytorch"] | None = setting(
        None, matters=False, doc="its report is in the run folder"
    )
    check_val_every_n_epoch: int | None = setting(
        None, at_least=1, unit="epochs", doc="of which one has validations; null: each has"
    )
    val_check_interval: int | float | None = setting(
        None, doc="not taken: training.validate_every does it, in optimiser steps"
    )
    max_steps: int | None = setting(
        None, at_least=1, unit="steps", resumable=True, doc="of the optimiser, which end the training before its epochs"
    )
    max_time: str | None = setting(
        None, resumable=True, doc="days:hours:minutes:seconds that end the training before its epochs, as 0:02:00:00"
    )
    num_sanity_val_steps: int = setting(
        0,
        at_least=-1,
        unit="batches",
        matters=False,
        doc="of validation before training; -1: all; figures are not kept",
    )

    def __post_init__(self) -> None:
        for name in ("limit_train_batches", "limit_val_batches", "limit_test_batches", "overfit_batches"):
            value = getattr(self, name)
            if isinstance(value, float) and value > 1:
                raise ValueError(f"{name}: expected a whole number of batches, or a share of at most 1.0, got {value}")
        if self.val_check_interval is not None:
            raise ValueError(
                f"val_check_interval: expected null, got {self.val_check_interval}; training.validate_every does it, "
                "in optimiser steps"
            )
        if self.max_time is not None and not (_TIME.fullmatch(self.max_time) and self.max_time.strip("0:")):
            raise ValueError(f"max_time: expected days:hours:minutes:seconds, as 0:02:00:00, got {self.max_time!r}")


@dataclass(frozen=True)
class Ema:
    """Exponential moving average of the weights: it is validated, and best.ckpt holds it."""

    decay: float = setting(0.999, above=0, below=1, doc="of the average, each optimiser step")


@dataclass(frozen=True)
class EarlyStopping:
    """The end of a training whose validation gets no better."""

    patience: int = setting(5, at_least=1, unit="validations", doc="in a row that are no better than the best before")
    min_delta: float = setting(0.0, at_least=0, doc="by how much one has to be better")


@dataclass(frozen=True)
class Callbacks:
    """Besides those of every run."""

    ema: Ema | None = group(doc="null: none")
    early_stopping: EarlyStopping | None = group(doc="null: none")
