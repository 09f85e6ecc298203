"""The only file that knows Hydra and OmegaConf: composed configuration → a run; errors → one line.

Lightning is imported where a job is done: the process that only starts others has no use for it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import netrc
import os
import re
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from selfalign import console
from selfalign.commands.configs_folder import CONFIGS
from selfalign.commands.multirun import end_sweep, register_names, sweep_failure
from selfalign.commands.resuming import is_finished, resumed_configuration, set_results_aside, started_with
from selfalign.errors import UserError
from selfalign.files.whole_files import write_whole
from selfalign.processes.launching import Job, is_first_process, processes_to_start, run_processes
from selfalign.runs.folder import CONFIG, locked, require_fresh
from selfalign.runs.jobs import perform_once
from selfalign.runs.names import run_names

_TRAIN_KEYS = {
    "data", "backbone", "loss", "strategy", "logger", "training", "seed", "padding", "compile", "init_from"
}  # fmt: skip
_EVAL_KEYS = {"checkpoints", "split", "protocol", "save_embeddings", "padding", "data", "strategy", "original"}
_WANDB_HOSTS = ("api.wandb.ai", "api.forge.coreweave.com")
"""Where wandb login has put keys, in older and newer versions."""
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
    run_dir = Path(HydraConfig.get().runtime.output_dir)

    def describe() -> str:
        return OmegaConf.to_yaml(OmegaConf.create(_plain(config, _TRAIN_KEYS)))

    def perform_it() -> None:
        plain = _plain(config, _TRAIN_KEYS)
        if is_first_process():
            write_whole(run_dir / CONFIG, describe())
        plain["logger"] = _loggers(plain, run_dir, HydraConfig.get())
        _run(Job("train", plain, str(run_dir)))

    if HydraConfig.get().mode == RunMode.MULTIRUN:
        return perform_once(run_dir, describe, perform_it, writes=is_first_process())
    if is_first_process():
        require_fresh(run_dir)
    perform_it()
    return None


def asks_to_resume() -> bool:
    """Whether the command line is ``train.py resume=RUN_FOLDER ...``."""
    return any(argument.startswith("resume=") for argument in sys.argv[1:])


def resume() -> None:
    """Go on with the run of the command line, in its folder."""
    config, run_dir = resumed_configuration(sys.argv[1:], compose_training)
    if unknown := set(config) ^ _TRAIN_KEYS:
        raise UserError(f"resume: {run_dir}/{CONFIG} is of another version (setting {min(unknown)})")
    if is_finished(run_dir, config):
        console.say(f"{_short(run_dir)} is finished; its figures are in results.json")
        return
    started = started_with(run_dir)
    if is_first_process():
        with locked(run_dir):  # its configuration is that of whoever runs in it
            set_results_aside(run_dir)
            write_whole(run_dir / CONFIG, OmegaConf.to_yaml(OmegaConf.create(config)))
    config["logger"] = _loggers(config, run_dir, started)
    _run(Job("train", config, str(run_dir)))


@one_line_errors
def evaluate(config: DictConfig) -> None:
    """Run eval.py's job in Hydra's run folder."""
    plain = _plain(config, _EVAL_KEYS)
    if not isinstance(plain["checkpoints"], list):
        raise UserError(f"checkpoints: expected a list, as checkpoints=[A.ckpt,B.ckpt], got {plain['checkpoints']!r}")
    _run(Job("evaluate", plain, HydraConfig.get().runtime.output_dir))


def compose_training(settings: Sequence[str]) -> dict[str, Any]:
    """train.py's configuration with ``settings`` as on its command line; no run folder is made."""
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return _plain(hydra.compose("train", list(settings)), _TRAIN_KEYS)


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
        {"train": _perform_training, "evaluate": _perform_evaluation}[job.name](job.config, Path(job.run_dir))
    except MisconfigurationException as error:
        raise UserError(str(error)) from error


def _perform_training(plain: dict[str, Any], run_dir: Path) -> None:
    from selfalign.engine import evaluation, training
    from selfalign.engine.callbacks.wandb_run import ended_with_its_job
    from selfalign.runs.results import result_series

    settings = plain.pop("logger").values()
    loggers = [hydra.utils.instantiate(logger, save_dir=str(run_dir), _convert_="all") for logger in settings]
    with ended_with_its_job(loggers, run_dir):
        record = training.train(plain, run_dir, loggers)
        for logger in loggers:
            logger.log_metrics(result_series(record))
    evaluation.say(f"\nrun folder: {_short(run_dir)}")


def _perform_evaluation(plain: dict[str, Any], run_dir: Path) -> None:
    from selfalign.engine import evaluation

    checkpoints, protocol = plain["checkpoints"], plain["protocol"]
    evaluation.evaluate_checkpoints(
        [Path(path) for path in checkpoints],
        run_dir,
        strategy=plain["strategy"],
        split=plain["split"],
        protocols=[protocol] if isinstance(protocol, str) else protocol,
        padding=plain["padding"],
        data=plain["data"],
        embeddings=plain["save_embeddings"],
        original=plain["original"],
    )
    evaluation.say(f"\nresults: {_short(run_dir / 'results.json')}")


def launch(main: Callable[[], None]) -> None:
    """Run a Hydra main; what a user can mend ends in one line on stderr and a non-zero exit."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # or Hydra prints the error itself, in many lines
    ending: str | None = None
    try:
        main()
    except (UserError, HydraException, OmegaConfBaseException) as error:
        ending = _one_line(error)
    except KeyboardInterrupt:
        ending = "interrupted"
    except Exception as error:
        if (trace := sweep_failure()) is None:
            raise
        reason = str(error).partition("\n")[0]
        ending = f"error: the sweep ended early ({type(error).__name__}: {reason}); jobs may still run; see {trace}"
    finally:  # Lightning's answer to Ctrl-C is an exit, which goes on from here
        if left := end_sweep():
            console.warn(left)
    if ending or left:
        sys.exit(ending or 1)


def _plain(config: DictConfig, known: set[str]) -> dict[str, Any]:
    """The resolved configuration as plain values; a key that nothing reads is an error."""
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    if not isinstance(plain, dict):
        raise UserError("configuration: expected named settings")
    unknown = sorted(str(name) for name in set(plain) - known)
    if unknown:
        raise UserError(f"{unknown[0]}: unknown setting; expected one of {', '.join(sorted(known))}")
    return {str(name): value for name, value in plain.items()}


def _loggers(plain: dict[str, Any], run_dir: Path, hydra_config: Any) -> dict[str, dict[str, Any]]:
    """The settings of each logger of a training run, completed by what only this process knows."""
    loggers = {}
    for name, settings in plain["logger"].items():
        target = settings.get("_target_", "") if isinstance(settings, dict) else ""
        if not target:
            raise UserError(f"logger.{name}: _target_ is missing; use files of configs/logger, as logger=wandb")
        if target.endswith(".TensorBoardLogger") and importlib.util.find_spec("tensorboard") is None:
            raise UserError("logger=tensorboard: the package is missing; pip install -e '.[tensorboard]' brings it")
        known = _wandb_run(plain, settings, run_dir, hydra_config) if target.endswith(".WandbLogger") else {}
        loggers[name] = known | settings
    return loggers


def _wandb_run(plain: dict[str, Any], settings: dict[str, Any], run_dir: Path, hydra_config: Any) -> dict[str, Any]:
    """What a run is called at W&B, its record, and its id, which is kept in the run folder and used again from there.

    ``settings`` win over all of it.
    """
    swept = hydra_config.mode in (RunMode.MULTIRUN, RunMode.MULTIRUN.name)
    kept = run_dir / "wandb_id.txt"
    names = run_names(
        hydra_config.runtime.choices,
        list(hydra_config.overrides.task),
        plain["seed"],
        run_dir,
        Path(hydra_config.sweep.dir) if swept else None,
    )
    earlier = kept.read_text(encoding="utf-8").strip() if kept.exists() else None
    identity = settings.get("id") or earlier or secrets.token_hex(4)
    if is_first_process():
        write_whole(kept, f"{identity}\n")
    return {
        "id": identity,
        "group": names.group,
        "name": names.name,
        "tags": list(names.tags),
        "job_type": "train",
        "config": {key: value for key, value in plain.items() if key != "logger"},
        "offline": not _has_wandb_key(),  # or it would ask for a key and wait
    }


def _has_wandb_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    own = urlsplit(os.environ.get("WANDB_BASE_URL", "")).netloc
    try:
        keys = netrc.netrc(os.environ.get("NETRC"))
    except (OSError, netrc.NetrcParseError):
        return False
    return any(keys.authenticators(host) is not None for host in ([own] if own else _WANDB_HOSTS))


def _one_line(error: Exception) -> str:
    if (extra := _EXTRA.search(str(error))) is not None:
        return f"error: {extra[0]} is not installed; pip install -e '.[sweep]' brings it"
    return console.one_line(error)


def _short(path: Path) -> str:
    return os.path.relpath(path)
