"""Lightning's Trainer from plain settings: each flag does what Lightning says, or is refused before training."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.profilers import AdvancedProfiler, PyTorchProfiler, SimpleProfiler
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from selfalign.data.datamodule import RetrievalDataModule
from selfalign.engine.callbacks.stop_after import StopAfter
from selfalign.engine.checkpoint_files import CheckpointFiles
from selfalign.engine.constructing import Config, construct, require_known
from selfalign.engine.meeting import MeetingDDP, cluster_environment
from selfalign.errors import UserError
from selfalign.processes.memory import keep_freed_memory

_PROFILERS = {"simple": SimpleProfiler, "advanced": AdvancedProfiler, "pytorch": PyTorchProfiler}
_LIMITS = ("limit_train_batches", "limit_val_batches", "limit_test_batches")


@dataclass(frozen=True)
class TrainerFlags:
    """Flags of Lightning's Trainer, under its names; ``None`` is its default.

    Attributes:
        fast_dev_run: so many batches of training, validation and test (``True``: one), and nothing is kept.
        limit_train_batches, limit_val_batches, limit_test_batches: batches that are used, or the share of them.
            Recalls are then those of a part of the gallery and no protocol's.
        overfit_batches: batches, or the share of them, of training and validation, the same ones in every epoch.
        accumulate_grad_batches: batches whose gradients add up to one optimiser step.
        profiler: ``simple``, ``advanced`` or ``pytorch``; its report is in the run folder.
        check_val_every_n_epoch: epochs between two in which there is validation.
        val_check_interval: refused; ``training.validate_every`` counts optimiser steps.
        max_steps: optimiser steps that end the training before its epochs do.
        max_time: days:hours:minutes:seconds that end the training before its epochs do.
        num_sanity_val_steps: batches of validation before training; their figures are not kept.
    """

    fast_dev_run: bool | int = False
    limit_train_batches: int | float | None = None
    limit_val_batches: int | float | None = None
    limit_test_batches: int | float | None = None
    overfit_batches: int | float = 0
    accumulate_grad_batches: int = 1
    profiler: str | None = None
    check_val_every_n_epoch: int | None = None
    val_check_interval: int | float | None = None
    max_steps: int | None = None
    max_time: str | None = None
    num_sanity_val_steps: int = 0

    def __post_init__(self) -> None:
        for name in (*_LIMITS, "overfit_batches"):
            value = getattr(self, name)
            if value is not None and not _is_limit(value) and (name, value) != ("overfit_batches", 0):
                raise ValueError(f"{name}: expected batches from 1, or a share above 0 and up to 1.0, got {value!r}")
        for name, least in (
            ("accumulate_grad_batches", 1),
            ("num_sanity_val_steps", -1),
            ("check_val_every_n_epoch", 1),
            ("max_steps", 1),
            ("fast_dev_run", 0),
        ):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < least):
                raise ValueError(f"{name}: expected a whole number of at least {least}, got {value!r}")
        if self.profiler is not None and self.profiler not in _PROFILERS:
            raise ValueError(f"profiler: expected one of {', '.join(_PROFILERS)}, got {self.profiler!r}")
        if self.val_check_interval is not None:
            raise ValueError(
                f"val_check_interval: expected null, got {self.val_check_interval!r}; training.validate_every does it, "
                "in optimiser steps"
            )
        if self.max_time is not None:
            try:
                Timer(self.max_time)
            except (MisconfigurationException, ValueError, TypeError, AttributeError) as error:
                raise ValueError(f"max_time: expected days:hours:minutes:seconds, got {self.max_time!r}") from error

    @classmethod
    def of(cls, config: Config) -> TrainerFlags:
        """The flags of a configuration; one from before there were any has none.

        Raises:
            UserError: naming the flag that is unknown or wrong, or that leaves nothing to choose the best model by.
        """
        settings = config.get("trainer") or {}
        require_known("trainer", settings, {field.name for field in fields(cls)})
        flags = construct("trainer", cls, **settings)
        epochs, between = config["training"]["epochs"], flags.check_val_every_n_epoch or 1
        if between > epochs:
            raise UserError(
                f"trainer.check_val_every_n_epoch: expected at most training.epochs={epochs}, got {between}"
            )
        return flags

    def for_training(self, run_dir: Path) -> dict[str, Any]:
        """Arguments of the Trainer that trains; what :meth:`callbacks` do is not among them."""
        given = {
            name: getattr(self, name)
            for name in (*_LIMITS[:2], "check_val_every_n_epoch", "fast_dev_run", "overfit_batches")
            if getattr(self, name) is not None
        }
        if self.profiler is not None:
            given["profiler"] = _PROFILERS[self.profiler](dirpath=run_dir, filename="profile")
        return given | {
            "accumulate_grad_batches": self.accumulate_grad_batches,
            "num_sanity_val_steps": self.num_sanity_val_steps,
        }

    def for_testing(self) -> dict[str, Any]:
        """Arguments of the Trainer that tests."""
        limit = int(self.fast_dev_run) or self.limit_test_batches
        return {} if limit is None else {"limit_test_batches": limit}

    def callbacks(self) -> list[pl.Callback]:
        """What ends a training early. Lightning's ``max_steps`` would end it without a validation."""
        stopping: list[pl.Callback] = []
        if self.max_steps is not None:
            stopping.append(StopAfter(self.max_steps))
        if self.max_time is not None:
            stopping.append(Timer(self.max_time))
        return stopping

    def require_batches(self, data: RetrievalDataModule) -> None:
        """Refuse shares of which no whole batch is left, before Lightning does after the training.

        Raises:
            UserError: naming the flag.
        """
        for name, role in zip(_LIMITS, ("train", "val", "test"), strict=True):
            limit, split = getattr(self, name), data.split(role)
            samples = len(split.captions) if role == "train" else split.images
            batches = max(1, -(-samples // data.batch_size))
            if isinstance(limit, float) and int(limit * batches) < 1:
                raise UserError(f"trainer.{name}: {limit} of {batches} batches is not one; expected a larger share")


def build_trainer(settings: Config, *, idle_parameters: bool = False, **others: Any) -> pl.Trainer:
    """Lightning's Trainer of a ``strategy`` group; what processes exchange is this package's own business.

    Args:
        settings: of the group.
        idle_parameters: some parameters get no gradient, for which DistributedDataParallel has to look.
        others: of the Trainer.

    Raises:
        UserError: if the settings name another strategy of Lightning's, whose gradients and batches would be others, or
            a precision that this machine does not have.
    """
    settings = dict(settings)
    name = settings.pop("strategy", "auto")
    if name == "ddp":
        # BatchNorm keeps its statistics alike by itself, and the data module shares out the batches.
        ddp = MeetingDDP(broadcast_buffers=False, find_unused_parameters=idle_parameters)
        settings |= {"strategy": ddp, "use_distributed_sampler": False}
    elif name != "auto" or settings.get("devices") not in (1, [0]) or settings.get("num_nodes", 1) != 1:
        raise UserError(
            f"strategy: expected one device, or strategy=ddp or ddp_cpu for several, got {name!r} "
            f"with devices={settings.get('devices')}"
        )
    settings["plugins"] = [CheckpointFiles(), cluster_environment(), *settings.get("plugins", [])]
    try:
        trainer = construct("strategy", pl.Trainer, enable_model_summary=False, **(settings | others))
    except ModuleNotFoundError as error:
        raise UserError(
            f"strategy.precision={settings.get('precision')}: needs a package that is missing ({_one_line(error)})"
        ) from error
    except MisconfigurationException as error:
        raise UserError(f"strategy: {_one_line(error)}") from error
    if trainer.strategy.root_device.type == "cpu":
        keep_freed_memory()
    return trainer


def _is_limit(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return value >= 1 if isinstance(value, int) else 0 < value <= 1


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
