"""A training run: train, test the best checkpoint, write results; go on where an earlier process stopped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import LearningRateMonitor
from pytorch_lightning.loggers import CSVLogger, Logger

from selfalign.data.datamodule import RetrievalDataModule
from selfalign.data.loader_process import told_of_loaders
from selfalign.engine.building import build_data, build_module, prepare_data
from selfalign.engine.callbacks.averaged_weights import AveragedWeights, TrainedWeightsAgain
from selfalign.engine.callbacks.collapse_warnings import CollapseWarnings
from selfalign.engine.callbacks.data_wait import DataWait
from selfalign.engine.callbacks.early_end import EarlyEnd
from selfalign.engine.callbacks.example_pictures import ExamplePictures
from selfalign.engine.callbacks.keep_best import KeepBest
from selfalign.engine.callbacks.keep_last import KeepLast
from selfalign.engine.callbacks.keep_word_features import kept_word_features
from selfalign.engine.callbacks.prototype_use import PrototypeUse
from selfalign.engine.callbacks.reproducer import Reproducer
from selfalign.engine.callbacks.stop_together import StopTogether
from selfalign.engine.callbacks.throughput import Throughput
from selfalign.engine.callbacks.validate_every import ValidateEvery
from selfalign.engine.callbacks.validation_lines import ValidationLines
from selfalign.engine.checkpoint_files import LAST, newest_checkpoint
from selfalign.engine.constructing import Config, construct
from selfalign.engine.evaluation import checked_width, evaluate_checkpoints, say
from selfalign.engine.metrics_file import go_on
from selfalign.engine.modules.retrieval import RetrievalModule
from selfalign.engine.starting import (
    load_weights,
    require_same_model,
    start_tokenizer,
    tokenizer_of_a_run_that_goes_on,
    train_what_was_trained,
)
from selfalign.engine.trainer import build_trainer, flags_of, for_testing, for_training, require_batches, stopping
from selfalign.errors import UserError
from selfalign.photographs.record import record_where_there_is_one
from selfalign.processes.place import is_first_process
from selfalign.reports.curves import save_curves
from selfalign.settings import RANKING_LOSSES
from selfalign.settings.lightning import Trainer

_PASSING = ".fast_dev_run"
"""Folder of a run of which nothing is kept."""
_LOG_EVERY = 10
"""Optimiser steps between two rows of training figures."""


def train(
    config: Config, run_dir: Path, loggers: Sequence[Logger], begin: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Train, test the best checkpoint and write everything a run leaves; go on where a checkpoint of the run is.

    Args:
        config: the resolved configuration, plain values.
        run_dir: its folder.
        loggers: besides ``metrics.csv``, which is always written.
        begin: called by the first process when all settings and files are known to be right, before anything else is
            written to the folder.

    Returns:
        what ``results.json`` holds.
    """
    flags = flags_of(config)
    if not flags.fast_dev_run:
        return _train(config, flags, run_dir, loggers, begin)
    try:
        record = _train(config, flags, run_dir / _PASSING, loggers, begin)
    finally:
        if is_first_process():
            shutil.rmtree(run_dir / _PASSING, ignore_errors=True)
    say("trainer.fast_dev_run: everything went through; nothing was kept")
    return record


def _train(
    config: Config, flags: Trainer, run_dir: Path, loggers: Sequence[Logger], begin: Callable[[], None]
) -> dict[str, Any]:
    pl.seed_everything(config["seed"], workers=True, verbose=False)
    checkpoints, training = run_dir / "checkpoints", config["training"]
    start = newest_checkpoint(checkpoints, say)
    module, data = _model_and_data(config, start)
    require_batches(flags, data)
    best = KeepBest(checkpoints / "best.ckpt")
    last = construct("training", KeepLast, path=checkpoints / LAST, **_intervals(training))
    rows = CSVLogger(run_dir, name="", version="")
    trainer = build_trainer(
        config["strategy"],
        idle_parameters=not config["loss"]["ranking"]["weight"],
        default_root_dir=run_dir,
        max_epochs=training["epochs"],
        gradient_clip_val=training["clip_norm"],
        logger=[rows, *loggers],
        enable_checkpointing=False,
        callbacks=_callbacks(config, flags, module, data, best, last, run_dir),
        log_every_n_steps=_LOG_EVERY,
        **for_training(flags, run_dir),
    )
    steps = 0 if start is None else require_same_model(module, start)
    if is_first_process():
        begin()
    if start is not None:
        train_what_was_trained(module, start)
        if is_first_process():
            go_on(rows, run_dir, steps)
        say(f"going on after step {steps}: {os.path.relpath(start)}")
    _fit(trainer, module, data, start, last, run_dir)
    if is_first_process() and not flags.fast_dev_run:
        save_curves(run_dir / "metrics.csv", run_dir / "curves.png")
    say(f"testing checkpoints/best.ckpt, validation R@1 + R@5 of both directions {best.score or 0:.1f}")
    return evaluate_checkpoints(
        [best.path],
        run_dir,
        strategy=config["strategy"],
        seed=config["seed"],
        selection=best.score,
        limits=for_testing(flags),
    )


def _model_and_data(config: Config, start: Path | None) -> tuple[RetrievalModule, RetrievalDataModule]:
    """What a run trains and what it is trained on; ``start`` is the checkpoint where it goes on."""
    prepare_data(config["data"], say)
    tokenizer = start_tokenizer(config, say)
    if start is not None:
        tokenizer = tokenizer_of_a_run_that_goes_on(start, tokenizer)
    data = build_data(config, tokenizer, say)
    width, made_by = checked_width(data, config["data"]["protocol"]), record_where_there_is_one(data.root)
    module = build_module(config, width, tokenizer, None if made_by is None else made_by.to_dict())
    if config["init_from"] is not None:
        load_weights(module, Path(config["init_from"]), say)
    if config["compile"]:
        say("compiling both towers; the first steps take minutes")
        for tower in (module.backbone.image_tower, module.backbone.text_tower):
            tower.compile()  # in place: parameters keep their names
    return module, data


def _callbacks(
    config: Config,
    flags: Trainer,
    module: RetrievalModule,
    data: RetrievalDataModule,
    best: KeepBest,
    last: KeepLast,
    run_dir: Path,
) -> list[pl.Callback]:
    """In the order in which Lightning asks them: what ends a training or averages weights comes before what saves."""
    ranking = dict(module.losses.named_children()).get("ranking")
    chosen = config.get("callbacks") or {}
    averages = [construct("callbacks.ema", AveragedWeights, **chosen["ema"])] if chosen.get("ema") else []
    patience = chosen.get("early_stopping")
    return [
        *averages,
        *stopping(flags),
        *([construct("callbacks.early_stopping", EarlyEnd, **patience)] if patience else []),
        best,
        last,
        StopTogether(last),
        Reproducer(run_dir, module.provenance),
        CollapseWarnings(ranking, _LOG_EVERY, RANKING_LOSSES[config["loss"]["ranking"]["name"]].advice),
        ValidateEvery(config["training"]["validate_every"]),
        ValidationLines(),
        LearningRateMonitor(),
        DataWait(),
        PrototypeUse(_LOG_EVERY),
        Throughput(_LOG_EVERY),
        _example_pictures(config, module, data, run_dir),
        *kept_word_features(config, module, data),
        *(TrainedWeightsAgain(one) for one in averages),
    ]


def _intervals(training: Config) -> dict[str, int]:
    return {"every": training["save_every"], "validate_every": training["validate_every"], "log_every": _LOG_EVERY}


def _fit(
    trainer: pl.Trainer,
    module: RetrievalModule,
    data: RetrievalDataModule,
    start: Path | None,
    last: KeepLast,
    run_dir: Path,
) -> None:
    """Train, from a checkpoint where there is one; what stops it is one line that says how to go on.

    Raises:
        UserError: if a disk fails or is full.
        SystemExit: after Ctrl-C and its kin.
    """
    place = os.path.relpath(run_dir)
    try:
        with told_of_loaders():
            trainer.fit(module, data, ckpt_path=start, weights_only=True)
    except SystemExit:  # Lightning's answer to Ctrl-C
        state = "nothing was saved yet" if last.step is None else f"resume={place} goes on after step {last.step}"
        say(f"interrupted at step {trainer.global_step}; {state}")
        raise
    except OSError as error:
        if error.errno is None:
            raise
        what = f"{error.filename}: " if error.filename else ""
        raise UserError(f"{what}{error.strerror}; the run ended, resume={place} goes on with it") from error


def _example_pictures(
    config: Config, module: RetrievalModule, data: RetrievalDataModule, run_dir: Path
) -> ExamplePictures:
    images = config["data"].get("images")
    folder = None if images is None else Path(images).expanduser()
    return ExamplePictures(data, module.backbone, module.recall, run_dir / "pictures", folder)
