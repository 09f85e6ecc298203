"""Composed configuration → a run; errors → one line.

Lightning is imported where a job is done: the process that only starts others has no use for it.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from selfalign import console
from selfalign.commands.composing import composed, plain, prepared
from selfalign.commands.help_page import help_page
from selfalign.commands.hydra_record import hydra_record, overrides_record
from selfalign.commands.loggers import WANDB_ID, completed_loggers
from selfalign.commands.multirun import end_sweep, register_names, sweep_failure
from selfalign.commands.paths import checkpoint_list, how_to_type, quoted_paths
from selfalign.commands.resuming import is_finished, require_as_started, resumed_configuration, started_with
from selfalign.data.layout import find_split
from selfalign.errors import UserError
from selfalign.processes.launching import Job, processes_to_start, run_processes
from selfalign.processes.place import is_first_process, take_place
from selfalign.runs.folder import CONFIG, begin, checkpoint_file, locked, require_fresh, write_record
from selfalign.runs.jobs import perform_once

_EXTRA = re.compile(r"hydra/(sweeper|launcher)/(optuna|joblib|submitit\w*)")

register_names()


Answer = TypeVar("Answer")


def one_line_errors(job: Callable[[DictConfig], Answer]) -> Callable[[DictConfig], Answer]:
    """End a single run at a user's error before Hydra reports it in its own words; a multirun goes on by itself."""

    @functools.wraps(job)
    def guarded(config: DictConfig) -> Answer:
        try:
            return job(config)
        except UserError as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise
            sys.exit(_one_line(error))

    return guarded


@one_line_errors
def train(config: DictConfig) -> float | None:
    """Run train.py's job in Hydra's run folder; in a sweep, once, and its failure ends nothing else.

    Returns:
        in a sweep the validation figure of the best checkpoint, ``None`` where the job failed; else ``None``.
    """
    hydra_config = HydraConfig.get()
    run_dir = Path(hydra_config.runtime.output_dir)

    def describe() -> str:
        return _text(training_settings(config))

    def perform_it() -> None:
        _run(_training(training_settings(config), run_dir, hydra_config, hydra_record(hydra_config)))

    take_place(config.strategy)
    if hydra_config.mode == RunMode.MULTIRUN:
        typed = overrides_record(hydra_config.overrides.task)
        return perform_once(run_dir, describe, perform_it, overrides=typed, writes=is_first_process())
    if is_first_process():
        require_fresh(run_dir)
    perform_it()
    return None


def _training(settings: dict[str, Any], run_dir: Path, hydra_config: Any, record: dict[str, str]) -> Job:
    """The job of a training run; ``record`` is written, with its settings, when nothing can keep it from running."""
    loggers = completed_loggers(settings, run_dir, hydra_config)
    ids = [f"{logger['id']}\n" for logger in loggers.values() if str(logger["_target_"]).endswith(".WandbLogger")]
    record = record | {CONFIG: _text(settings)} | dict.fromkeys([WANDB_ID] if ids else [], "".join(ids[:1]))
    return Job("train", settings | {"logger": loggers}, str(run_dir), record)


def asks_to_resume() -> bool:
    """Whether the command line is ``train.py resume=RUN_FOLDER ...``."""
    return any(argument.startswith("resume=") for argument in sys.argv[1:])


def resume() -> None:
    """Go on with the run of the command line, in its folder; what is wrong is told before anything there changes."""
    config, run_dir = resumed_configuration(sys.argv[1:], composed)
    if is_finished(run_dir, config):
        console.say(f"{_short(run_dir)} is finished; its figures are in results.json")
        return
    started = started_with(run_dir)
    take_place(config["strategy"])
    with locked(run_dir) if is_first_process() else contextlib.nullcontext():
        require_as_started(config, _trained_with(run_dir, started), run_dir / CONFIG)
    _run(_training(config, run_dir, started, {}))


def _trained_with(run_dir: Path, started: DictConfig) -> dict[str, Any]:
    """The settings of a run by its last checkpoint or, before the first one, by what was typed."""
    from selfalign.engine.checkpoint_files import newest_checkpoint
    from selfalign.runs.checkpoint import read_checkpoint

    newest = newest_checkpoint(run_dir / "checkpoints", lambda line: None)
    if newest is None:
        return composed([str(override) for override in started.overrides.task])
    return read_checkpoint(newest)[0].config


@one_line_errors
def evaluate(config: DictConfig) -> None:
    """Run eval.py's job in Hydra's run folder."""
    hydra_config = HydraConfig.get()
    run_dir = Path(hydra_config.runtime.output_dir)
    settings = evaluation_settings(config)
    take_place(settings["strategy"])
    if is_first_process():
        require_fresh(run_dir)
    _run(Job("evaluate", settings, str(run_dir), hydra_record(hydra_config)))


def require_data_files(config: DictConfig) -> None:
    """Refuse data whose files are not there, before PyTorch is imported to read them.

    Raises:
        UserError: naming the folder, or the file that is missing.
    """
    data = training_settings(config)["data"]
    if data["scenes"] is None:
        for role in ("train", "val", "test"):
            find_split(Path(data["root"]), data[f"{role}_split"])


def training_settings(config: DictConfig) -> dict[str, Any]:
    """train.py's settings as plain values.

    Raises:
        UserError: for what can be told without opening a file.
    """
    return plain(config, "train", HydraConfig.get().overrides.task)


def evaluation_settings(config: DictConfig) -> dict[str, Any]:
    """eval.py's settings as plain values, with the checkpoints that are there.

    Raises:
        UserError: for what can be told without opening a file.
    """
    typed = None if OmegaConf.is_missing(config, "checkpoints") else config.checkpoints
    named = checkpoint_list(OmegaConf.to_container(typed) if OmegaConf.is_config(typed) else typed)
    found = [str(checkpoint_file(Path(path))) for path in named]
    return plain(config, "eval", HydraConfig.get().overrides.task, checkpoints=found)


def _run(job: Job) -> None:
    if is_first_process():
        console.say(f"{job.name}: {_short(Path(job.run_dir))}; loading PyTorch")
    count = processes_to_start(job.config["strategy"])
    with locked(Path(job.run_dir)) if is_first_process() else contextlib.nullcontext():
        if count > 1:
            run_processes(job, count)
        else:
            perform(job)


def perform(job: Job) -> None:
    """Do a job in this process, alone or as one of several.

    Raises:
        UserError: what the user can mend.
    """
    from pytorch_lightning.utilities.exceptions import MisconfigurationException

    from selfalign.engine import evaluation

    evaluation.quiet_libraries()
    try:
        {"train": _perform_training, "evaluate": _perform_evaluation}[job.name](job)
    except MisconfigurationException as error:
        raise UserError(str(error)) from error


def _perform_training(job: Job) -> None:
    from selfalign.engine import evaluation, training
    from selfalign.engine.callbacks.wandb_run import ended_with_its_job
    from selfalign.runs.results import result_series

    run_dir = Path(job.run_dir)
    loggers = [_logger(entry) for entry in job.config["logger"].values()]
    settings = {name: value for name, value in job.config.items() if name != "logger"}
    with ended_with_its_job(loggers, run_dir):
        record = training.train(settings, run_dir, loggers, lambda: begin(run_dir, job.record))
        for logger in loggers:
            logger.log_metrics(result_series(record))
    evaluation.say(f"\nrun folder: {_short(run_dir)}")


def _logger(settings: dict[str, Any]) -> Any:
    """A logger of its settings; the run's folder goes to those that can be given one."""
    takes = inspect.signature(hydra.utils.get_class(settings["_target_"])).parameters
    fitting = {name: value for name, value in settings.items() if name != "save_dir" or name in takes}
    return hydra.utils.instantiate(fitting, _convert_="all")


def _perform_evaluation(job: Job) -> None:
    from selfalign.engine import evaluation

    settings, run_dir = job.config, Path(job.run_dir)
    evaluation.evaluate_checkpoints(
        [Path(path) for path in settings["checkpoints"]],
        run_dir,
        strategy=settings["strategy"],
        split=settings["split"],
        protocols=settings["protocol"],
        padding=settings["padding"],
        data=settings["data"],
        embeddings=settings["save_embeddings"],
        answers=settings["save_answers"],
        trec=settings["trec"],
        original=settings["original"],
        subset=settings["subset"],
    )
    if is_first_process():
        write_record(run_dir, job.record)
    evaluation.say(f"\nresults: {_short(run_dir / 'results.json')}")


def launch(main: Callable[[], None], program: str | None = None) -> None:
    """Run a main; what a user can mend ends in one line on stderr and a non-zero exit.

    Args:
        main: what to run.
        program: ``train`` or ``eval`` if it is Hydra's, whose command line is checked before anything is made.
    """
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # or Hydra prints the error itself, in many lines
    console.prepare()
    ending: str | None = None
    try:
        if program is not None:
            if (page := help_page(sys.argv[1:], program)) is not None:
                console.say(page)
                return
            sys.argv[1:] = prepared(quoted_paths(sys.argv[1:]), program)
        main()
    except (UserError, HydraException, OmegaConfBaseException) as error:
        ending = _one_line(error)
    except KeyboardInterrupt:
        ending = "interrupted"
    except Exception as error:
        if (trace := sweep_failure()) is not None:
            reason = str(error).partition("\n")[0]
            ending = f"error: the sweep ended early ({type(error).__name__}: {reason}); jobs may still run; see {trace}"
        elif isinstance(error, OSError) and error.filename is not None:
            ending = f"error: {str(error.filename)[:160]}: {error.strerror}"
        else:
            raise
    finally:  # Lightning's answer to Ctrl-C is an exit, which goes on from here
        if left := end_sweep():
            console.warn(left)
    if ending or left:
        sys.exit(ending or 1)


def _one_line(error: Exception) -> str:
    if isinstance(error, OverrideParseException):
        return f"error: {how_to_type(error.override)}"
    if (extra := _EXTRA.search(str(error))) is not None:
        return f"error: {extra[0]} is not installed; pip install -e '.[sweep]' brings it"
    return console.one_line(error)


def _text(settings: dict[str, Any]) -> str:
    """Settings as ``config.yaml`` holds them."""
    return OmegaConf.to_yaml(OmegaConf.create(settings))


def _short(path: Path) -> str:
    return os.path.relpath(path)
