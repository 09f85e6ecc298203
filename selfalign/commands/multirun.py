"""Sweeps under Hydra: names of folders, what was planned, and the end: leaderboard, exit code, how to go on."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ValueType
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from selfalign.console import one_line, say
from selfalign.errors import UserError
from selfalign.files.locks import lock
from selfalign.files.whole_files import write_whole
from selfalign.processes.place import started_from_outside
from selfalign.reports.leaderboard.leaderboard_chart import save_leaderboard_chart
from selfalign.reports.leaderboard.leaderboard_table import save_csv, table
from selfalign.reports.leaderboard.standings import rank
from selfalign.runs.jobs import FAILURE, SweepJob, folder_name, read_jobs, sweep_name

_BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


@dataclass(frozen=True)
class Sweep:
    """A sweep that this process runs.

    Attributes:
        folder: of all of its jobs.
        planned: overrides of every job, where they are known beforehand.
        failures: of earlier runs of the sweep, by folder: when each was written.
        lock: held as long as the sweep runs.
    """

    folder: Path
    planned: list[list[str]]
    failures: dict[Path, int]
    lock: ExitStack

    def end(self) -> str | None:
        """Write the leaderboard of what is done; what remains to be done in one line, ``None`` if nothing."""
        try:
            jobs = read_jobs(self.folder, self.planned)
            if all(job.state == "not run" for job in jobs):
                return None
            board = rank(jobs)
            save_csv(board, self.folder / "leaderboard.csv")
            save_leaderboard_chart(board, self.folder / "leaderboard.png")
        finally:
            self.lock.close()
        say(f"{table(board)}\n\nleaderboard: {os.path.relpath(self.folder)}/leaderboard.csv, .png")
        return self._left(jobs)

    def _left(self, jobs: Sequence[SweepJob]) -> str | None:
        """What this command leaves to be done; jobs of other values, from an earlier command, are not its business."""
        failed = [path for path, written in _failures(self.folder).items() if self.failures.get(path) != written]
        own = {folder_name(overrides) for overrides in self.planned} or {job.folder.name for job in jobs}
        states = [job.state for job in jobs if job.folder.name in own]
        not_finished = states.count("unfinished") + states.count("not run")
        if not failed and not not_finished:
            return None
        words = [f"{len(failed)} failed (see */{FAILURE})"] if failed else []
        words += [f"{not_finished} not finished"] if not_finished else []
        return (
            f"sweep {os.path.relpath(self.folder)}: of {len(states)} jobs {', '.join(words)}; "
            "the same command runs only what is missing"
        )


_running: list[Sweep] = []
"""The sweep of this process, from its first moment until it ends; empty otherwise."""


class SweepEvents(Callback):
    """Hydra's word that a sweep begins. Its end is :func:`end_sweep`: Hydra keeps silent about interrupted ones."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        try:
            _running.append(_begin(config))
        except UserError as error:
            sys.exit(one_line(error))  # Hydra would make a warning of an exception


def _begin(config: DictConfig) -> Sweep:
    if started_from_outside() is not None:
        raise UserError(
            "a sweep starts the processes of its jobs itself; run it without torchrun or srun, as python train.py -m"
        )
    folder = Path(config.hydra.sweep.dir).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    _pin(config, folder)
    _share_code()
    for number in (signal.SIGTERM, signal.SIGUSR1):  # Lightning would let SIGTERM pass while it tests
        signal.signal(number, _interrupt)
    held = ExitStack()
    if (state := held.enter_context(lock(folder / ".lock"))) != "ours":
        held.close()
        reason = "another process is running it" if state == "taken" else "its file system has no locks"
        raise UserError(f"sweep {os.path.relpath(folder)}: {reason}")
    return Sweep(folder, _planned(config), _failures(folder), held)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _pin(config: DictConfig, folder: Path) -> None:
    """Give every job the sweep's folder: in a job's own configuration its name would be made of the job's values."""
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    with read_write(config), open_dict(config):
        config.hydra.sweep.dir = str(folder)
        config.hydra.overrides.hydra.append(f"hydra.sweep.dir='{quoted}'")


def _share_code() -> None:
    """Let the processes that launchers start, here or on a cluster, import this very code, not an installed copy."""
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)


def sweep_failure() -> str | None:
    """Keep the trace of what ended this process's sweep, as a killed job does under some launchers; where it is.

    Returns:
        ``None`` if no sweep is running.
    """
    if not _running:
        return None
    path = _running[-1].folder / "sweep_failure.txt"
    write_whole(path, traceback.format_exc())
    return os.path.relpath(path)


def end_sweep() -> str | None:
    """Close the sweep of this process, if there is one: write its leaderboard; say what is left in one line."""
    return _running.pop().end() if _running else None


def _failures(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.glob(f"*/{FAILURE}")}


def _planned(config: DictConfig) -> list[list[str]]:
    """Overrides of every job of a grid; empty where a search decides as it goes."""
    if config.hydra.sweeper._target_ != _BASIC_SWEEPER:
        return []
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    choices: dict[str, list[str]] = {}
    for override in OverridesParser.create().parse_overrides([*params, *config.hydra.overrides.task]):
        key = override.get_key_element()
        if override.value_type == ValueType.GLOB_CHOICE_SWEEP:
            return []  # only Hydra's own loader knows what it matches
        if override.is_discrete_sweep():
            choices[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            choices[key] = [f"{key}={override.get_value_element_as_str()}"]
    return [list(job) for job in itertools.product(*choices.values())]


def _sweep_folder(overrides: list[str]) -> str:
    """The name of a sweep by what it sweeps."""
    swept, constants = [], []
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        if override.is_sweep_override():
            swept.append(override.get_key_element().lstrip("+"))
        else:
            constants.append(override.input_line or "")
    return sweep_name(swept, constants)


def register_names() -> None:
    """Make ``${sweep_folder:...}`` and ``${job_folder:...}`` known to configurations, in every process of a sweep."""
    OmegaConf.register_new_resolver("sweep_folder", _sweep_folder, replace=True)
    OmegaConf.register_new_resolver("job_folder", lambda overrides: folder_name(list(overrides)), replace=True)
