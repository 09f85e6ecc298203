"""Lightning's Trainer from plain settings: each flag does what Lightning says, or is refused before training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.profilers import AdvancedProfiler, PyTorchProfiler, SimpleProfiler
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from selfalign.data.datamodule import RetrievalDataModule
from selfalign.engine.callbacks.progress import Progress
from selfalign.engine.callbacks.stop_after import StopAfter
from selfalign.engine.checkpoint_files import CheckpointFiles
from selfalign.engine.constructing import Config, construct
from selfalign.engine.meeting import MeetingDDP, cluster_environment
from selfalign.errors import UserError
from selfalign.processes.memory import keep_freed_memory
from selfalign.settings.lightning import Trainer

_PROFILERS = {"simple": SimpleProfiler, "advanced": AdvancedProfiler, "pytorch": PyTorchProfiler}
_LIMITS = ("limit_train_batches", "limit_val_batches", "limit_test_batches")


def flags_of(config: Config) -> Trainer:
    """The flags of a configuration; one from before there were any has the defaults.

    Raises:
        UserError: if they leave nothing to choose the best model by.
    """
    flags = Trainer(**(config.get("trainer") or {}))
    epochs, between = config["training"]["epochs"], flags.check_val_every_n_epoch or 1
    if between > epochs:
        raise UserError(f"trainer.check_val_every_n_epoch: expected at most training.epochs={epochs}, got {between}")
    return flags


def for_training(flags: Trainer, run_dir: Path) -> dict[str, Any]:
    """Arguments of the Trainer that trains; what :func:`stopping` does is not among them."""
    given = {
        name: getattr(flags, name)
        for name in (*_LIMITS[:2], "check_val_every_n_epoch")
        if getattr(flags, name) is not None
    }
    if flags.profiler is not None:
        given["profiler"] = _PROFILERS[flags.profiler](dirpath=run_dir, filename="profile")
    others = ("accumulate_grad_batches", "num_sanity_val_steps", "fast_dev_run", "overfit_batches")
    return given | {name: getattr(flags, name) for name in others}


def for_testing(flags: Trainer) -> dict[str, Any]:
    """Arguments of the Trainer that tests."""
    limit = int(flags.fast_dev_run) or flags.limit_test_batches
    return {} if limit is None else {"limit_test_batches": limit}


def stopping(flags: Trainer) -> list[pl.Callback]:
    """What ends a training early. Lightning's ``max_steps`` would end it without a validation."""
    found: list[pl.Callback] = []
    if flags.max_steps is not None:
        found.append(StopAfter(flags.max_steps))
    if flags.max_time is not None:
        found.append(Timer(flags.max_time))
    return found


def require_batches(flags: Trainer, data: RetrievalDataModule) -> None:
    """Refuse shares of which no whole batch is left, before Lightning does after the training.

    Raises:
        UserError: naming the flag.
    """
    for name, role in zip(_LIMITS, ("train", "val", "test"), strict=True):
        limit, split = getattr(flags, name), data.split(role)
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
    settings = {name: value for name, value in settings.items() if value is not None}
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
    if others.get("enable_progress_bar", True):
        others["callbacks"] = [*others.get("callbacks", []), Progress()]
    try:
        trainer = construct("strategy", pl.Trainer, enable_model_summary=False, **(settings | others))
    except ModuleNotFoundError as error:
        raise UserError(
            f"strategy.precision={settings.get('precision')}: needs a package that is missing ({_one_line(error)})"
        ) from error
    except MisconfigurationException as error:
        raise UserError(f"strategy: {_one_line(error)}") from error
    asked = str(settings.get("precision", trainer.precision))
    if asked.startswith("16") and trainer.precision.startswith("bf16"):  # Lightning warns, and goes on
        raise UserError(f"strategy.precision={asked}: this machine does not have it, expected bf16-mixed or 32-true")
    if trainer.strategy.root_device.type == "cpu":
        keep_freed_memory()
    return trainer


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
