"""How long until a model is good: python -m tests.benchmarks.quality scenes|f8k [--bert DIR] [--seeds 1 2 3] ...

Minutes are those of training alone, on the clock and on the processors; validations in between are not counted.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl

from selfalign.commands.composing import composed
from selfalign.console import say
from selfalign.engine.building import build_data, build_module, build_tokenizer, prepare_data
from selfalign.engine.callbacks.keep_word_features import kept_word_features
from selfalign.engine.callbacks.validate_every import ValidateEvery
from selfalign.engine.evaluation import checked_width, quiet_libraries
from selfalign.engine.trainer import build_trainer

_SCENES = {
    "linear": ("backbone=linear",),
    "camera": ("backbone=camera", "loss=words"),
    "vsrn": ("backbone=vsrn", "loss=words"),
    "camera, published": ("backbone=camera", "recipe=published", "loss=selfalign"),
    "vsrn, published": ("backbone=vsrn", "recipe=published", "loss=selfalign"),
}
_F8K = {
    "linear": ("data=f8k", "backbone=linear"),
    "linear_bert": ("data=f8k", "backbone=linear_bert", "backbone.bert.cache={cache}"),
    "camera": ("data=f8k", "backbone=camera", "recipe=tuned", "loss=guided", "backbone.bert.cache={cache}"),
    "vsrn": ("data=f8k", "backbone=vsrn", "recipe=tuned", "loss=guided"),
    "camera, published": ("experiment=f8k_small_camera", "loss=selfalign"),
    "vsrn, published": ("experiment=f8k_small_vsrn", "loss=selfalign"),
}
_MODELS = {"scenes": _SCENES, "f8k": _F8K}
_GOALS = {"scenes": ("val/alignment_accuracy", 90.0), "f8k": ("val/rsum", 250.0)}


@dataclass(frozen=True)
class Found:
    """One run.

    Attributes:
        minutes: on the clock until the goal was there, of training alone; ``None`` if it never was.
        processor_minutes: of all threads in that time.
        best: the highest figure.
        memory: bytes of the process at its highest.
    """

    minutes: float | None
    processor_minutes: float
    best: float
    memory: int


class Clock(pl.Callback):
    """Times training between validations, and ends it at the goal.

    Args:
        figure: of validation.
        goal: to be reached.
    """

    def __init__(self, figure: str, goal: float) -> None:
        self.figure = figure
        self.goal = goal
        self.reached = False
        self.best = 0.0
        self.minutes = self.processor_minutes = 0.0
        self._since = (0.0, 0.0)

    def on_train_start(self, *_: Any) -> None:
        self._since = (time.perf_counter(), time.process_time())

    def on_validation_start(self, *_: Any) -> None:
        clock, processor = self._since
        self.minutes += (time.perf_counter() - clock) / 60
        self.processor_minutes += (time.process_time() - processor) / 60

    def on_validation_end(self, trainer: pl.Trainer, *_: Any) -> None:
        value = float(trainer.callback_metrics.get(self.figure, 0.0))
        self.best = max(self.best, value)
        if value >= self.goal:
            self.reached = trainer.should_stop = True
        self._since = (time.perf_counter(), time.process_time())


def run(overrides: tuple[str, ...], figure: str, goal: float) -> Found:
    """Train until the goal or the end of the schedule; the figure is that of the test split, which chooses nothing."""
    quiet_libraries()
    config = composed((*overrides, "data.val_split=test", "data.test_split=dev", "strategy.accelerator=cpu"), "train")
    pl.seed_everything(config["seed"], verbose=False)
    prepare_data(config["data"], lambda line: None)
    tokenizer = build_tokenizer(config, lambda line: None)
    data = build_data(config, tokenizer)
    module = build_module(config, checked_width(data, config["data"]["protocol"]), tokenizer)
    clock = Clock(figure, goal)
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(
            config["strategy"],
            default_root_dir=folder,
            max_epochs=config["training"]["epochs"],
            gradient_clip_val=config["training"]["clip_norm"],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            num_sanity_val_steps=0,
            callbacks=[
                *kept_word_features(config, module, data),
                ValidateEvery(config["training"]["validate_every"]),
                clock,
            ],
        )
        trainer.fit(module, data)
    memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Found(clock.minutes if clock.reached else None, clock.processor_minutes, clock.best, memory)


def main(arguments: list[str] | None = None) -> None:
    """Every model with every seed, each in a process of its own; one line a model."""
    options = _parser().parse_args(arguments)
    figure, goal = _GOALS[options.data]
    say(f"until {figure.removeprefix('val/')} {goal:g} on the test split of {options.data}, seeds {options.seeds}")
    say(f"{'':20}{'minutes':>22}{'processor minutes':>22}{'best figure':>25}{'memory':>12}")
    with tempfile.TemporaryDirectory() as cache:
        for name in options.models or _MODELS[options.data]:
            settings = _settings(name, options, cache)
            say(_line(name, [_in_a_process((*settings, f"seed={seed}"), figure, goal) for seed in options.seeds]))


def _settings(name: str, options: argparse.Namespace, cache: str) -> list[str]:
    settings = [setting.format(cache=cache) for setting in _MODELS[options.data][name]]
    if options.bert and options.data == "f8k" and ("camera" in name or "bert" in name):
        settings.append(f"backbone.bert.source={options.bert}")
    if options.root:
        settings.append(f"data.root={options.root}")
    return [*settings, f"training.validate_every={options.every}", "data.workers=0", *options.overrides]


def _in_a_process(overrides: tuple[str, ...], figure: str, goal: float) -> Found:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(run, overrides, figure, goal).result()


def _line(name: str, found: list[Found]) -> str:
    reached = [one.minutes for one in found if one.minutes is not None]
    minutes = _spread(reached) if len(reached) == len(found) else f"reached by {len(reached)} of {len(found)}"
    processor, best = _spread([one.processor_minutes for one in found]), _spread([one.best for one in found])
    memory = max(one.memory for one in found) / 2**20
    return f"{name:20}{minutes:>22}{processor:>22}{best:>25}{memory:8,.0f} MiB"


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.quality", description=__doc__)
    parser.add_argument("data", choices=tuple(_GOALS))
    parser.add_argument("--models", nargs="*", help="of the table; all if none is named")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--every", type=int, default=50, help="steps between two looks (default: %(default)s)")
    parser.add_argument("--root", help="folder of the data, where it is not the usual one")
    parser.add_argument("--bert", help="folder of a BERT for f8k, as in docs/results.sh")
    parser.add_argument("--overrides", nargs="*", default=[], help="further settings of every run")
    return parser


if __name__ == "__main__":
    main()
