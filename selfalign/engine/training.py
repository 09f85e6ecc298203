"""A training run: train, test the best checkpoint, write results; go on where an earlier process stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import LearningRateMonitor
from pytorch_lightning.loggers import CSVLogger, Logger

from selfalign.backbones.camera import Camera
from selfalign.backbones.linear import LinearTwoTower
from selfalign.data.datamodule import RetrievalDataModule
from selfalign.engine.building import Config, build_data, build_module, construct, prepare_data
from selfalign.engine.callbacks.collapse_warnings import CollapseWarnings
from selfalign.engine.callbacks.data_wait import DataWait
from selfalign.engine.callbacks.example_pictures import ExamplePictures
from selfalign.engine.callbacks.keep_best import KeepBest
from selfalign.engine.callbacks.keep_last import KeepLast
from selfalign.engine.callbacks.keep_word_features import KeepWordFeatures
from selfalign.engine.callbacks.prototype_use import PrototypeUse
from selfalign.engine.callbacks.reproducer import Reproducer
from selfalign.engine.callbacks.stop_together import StopTogether
from selfalign.engine.callbacks.throughput import Throughput
from selfalign.engine.callbacks.validate_every import ValidateEvery
from selfalign.engine.callbacks.validation_lines import ValidationLines
from selfalign.engine.checkpoint_files import LAST, newest_checkpoint
from selfalign.engine.evaluation import build_trainer, checked_width, evaluate_checkpoints, say
from selfalign.engine.metrics_file import go_on
from selfalign.engine.modules.retrieval import RetrievalModule
from selfalign.engine.starting import load_weights, require_same_model, start_tokenizer
from selfalign.errors import UserError
from selfalign.processes.place import is_first_process
from selfalign.reports.curves import save_curves

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
    pl.seed_everything(config["seed"], workers=True, verbose=False)
    prepare_data(config["data"], say)
    tokenizer = start_tokenizer(config, say)
    data = build_data(config, tokenizer, say)
    module = build_module(config, checked_width(data, config["data"]["protocol"]), tokenizer)
    if config["init_from"] is not None:
        load_weights(module, Path(config["init_from"]), say)
    if config["compile"]:
        say("compiling both towers; the first steps take minutes")
        for tower in (module.backbone.image_tower, module.backbone.text_tower):
            tower.compile()  # in place: parameters keep their names
    checkpoints, training = run_dir / "checkpoints", config["training"]
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
        callbacks=[
            best,
            last,
            StopTogether(last),
            Reproducer(run_dir, module.provenance),
            CollapseWarnings(dict(module.losses.named_children()).get("ranking"), _LOG_EVERY),
            ValidateEvery(training["validate_every"]),
            ValidationLines(),
            LearningRateMonitor(),
            DataWait(),
            PrototypeUse(_LOG_EVERY),
            Throughput(_LOG_EVERY),
            _example_pictures(config, module, data, run_dir),
            *_kept_word_features(config, module, data),
        ],
        num_sanity_val_steps=0,
        log_every_n_steps=_LOG_EVERY,
    )
    start = newest_checkpoint(checkpoints, say)
    steps = 0 if start is None else require_same_model(module, start)
    if is_first_process():
        begin()
    if start is not None:
        if is_first_process():
            go_on(rows, run_dir, steps)
        say(f"going on after step {steps}: {os.path.relpath(start)}")
    _fit(trainer, module, data, start, last, run_dir)
    if is_first_process():
        save_curves(run_dir / "metrics.csv", run_dir / "curves.png")
    say(f"testing checkpoints/best.ckpt, validation R@1 + R@5 of both directions {best.score or 0:.1f}")
    return evaluate_checkpoints(
        [best.path], run_dir, strategy=config["strategy"], seed=config["seed"], selection=best.score
    )


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


def _kept_word_features(config: Config, module: RetrievalModule, data: RetrievalDataModule) -> list[KeepWordFeatures]:
    """What ``backbone.bert.cache`` asks for.

    Raises:
        UserError: if BERT's outputs are not the same every time.
    """
    bert = config["backbone"].get("bert", {})
    if bert.get("cache") is None:
        return []
    if not bert.get("frozen", True) or bert.get("dropout", False) or config["padding"] != "masked":
        raise UserError(
            "backbone.bert.cache: needs backbone.bert.frozen=true backbone.bert.dropout=false padding=masked; "
            "otherwise BERT's outputs differ from step to step"
        )
    if not isinstance(module.backbone, Camera | LinearTwoTower) or not hasattr(module.backbone.text_tower, "bert"):
        raise UserError("backbone.bert.cache: expected a backbone with a BERT")
    return [KeepWordFeatures(module.backbone.text_tower.bert, data, Path(bert["cache"]).expanduser())]
