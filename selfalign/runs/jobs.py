"""The folder of a sweep: one folder a job, named after the job's settings, and what became of it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfalign.console import say
from selfalign.errors import UserError
from selfalign.files.locks import lock
from selfalign.files.plain_values import read_yaml
from selfalign.files.whole_files import write_whole
from selfalign.runs.labels import recorded
from selfalign.runs.results import RESULTS, read_results

FAILURE = "failure.txt"
SET_ASIDE = "set_aside"
OVERRIDES = ".hydra/overrides.yaml"
_JOB_LOCK = ".job.lock"
_SAFE = re.compile(r"[A-Za-z0-9._=+,-]+")
_UNSAFE = re.compile(r"[^A-Za-z0-9._=+,-]+")
_LONGEST_NAME = 120


@dataclass(frozen=True)
class SweepJob:
    """One job of a sweep as its folder shows it.

    Attributes:
        folder: of the job; it may not be there yet.
        overrides: its settings as they were typed, by key.
        config: its resolved configuration; ``None`` where it was not started or could not be resolved.
        results: its ``results.json``; ``None`` unless it ended well.
        failure: one line on why it failed; ``None`` if it did not.
    """

    folder: Path
    overrides: dict[str, str]
    config: dict[str, Any] | None = None
    results: dict[str, Any] | None = None
    failure: str | None = None

    @property
    def state(self) -> str:
        """``done``, ``failed``, ``unfinished`` (interrupted, or still at it) or ``not run``."""
        if self.results is not None:
            return "done"
        if self.failure is not None:
            return "failed"
        return "unfinished" if self.folder.exists() else "not run"

    @property
    def seed(self) -> Any:
        """Its seed; ``None`` where neither configuration nor overrides tell."""
        return self.overrides.get("seed") if self.config is None else self.config.get("seed")


def folder_name(overrides: Sequence[str]) -> str:
    """A name for a job that its settings decide, in whatever order and under whatever number they come.

    What is too long or unsafe for a folder is shortened and ends in a digest of all settings.
    """
    ordered = sorted(overrides)
    name = ",".join(ordered) or "defaults"
    if _SAFE.fullmatch(name) and len(name) <= _LONGEST_NAME and not name.startswith("."):
        return name
    parts = [_UNSAFE.sub("_", _short(override) if len(name) > _LONGEST_NAME else override) for override in ordered]
    while len(",".join(parts)) > _LONGEST_NAME - 9 and len(parts) > 1:
        parts.pop(0)
    return f"{','.join(parts)[9 - _LONGEST_NAME :].lstrip('.')}~{_digest(ordered)}"


def _short(override: str) -> str:
    """``loss.concept.weight=1`` as ``concept.weight=1``."""
    key, _, value = override.partition("=")
    return f"{'.'.join(key.split('.')[-2:])}={value}"


def sweep_name(keys: Sequence[str], constants: Sequence[str]) -> str:
    """A name for a sweep: the same keys swept with the same other settings are one sweep, whatever their values."""
    name = folder_name(sorted(keys))
    return f"{name}~{_digest(sorted(constants))}" if constants else name


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(lines)).encode()).hexdigest()[:8]


def by_key(overrides: Sequence[str]) -> dict[str, str]:
    """Settings as they were typed, ``key=value``, by key; ``+`` in front does not count."""
    pairs = (override.lstrip("+").partition("=") for override in overrides)
    return {key: value for key, _, value in pairs}


def read_job(folder: Path) -> SweepJob:
    """What is known of the job in ``folder``; what of it is damaged is a failure of that job.

    Raises:
        UserError: if its settings are damaged.
    """
    overrides = read_yaml(folder / OVERRIDES, "settings") or []
    if not isinstance(overrides, list):
        raise UserError(f"settings {folder / OVERRIDES}: damaged (no list)")
    path = folder / "config.yaml"
    config = _named(read_yaml(path, "settings"), path) if path.exists() else None
    results, failure = _results_or_damage(folder)
    kept = folder / FAILURE
    if failure is None and kept.exists():
        failure = kept.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    return SweepJob(
        folder,
        recorded(by_key([str(override) for override in overrides]), config),
        config,
        results,
        failure,
    )


def _named(settings: Any, path: Path) -> dict[str, Any]:
    if not isinstance(settings, dict):
        raise UserError(f"settings {path}: damaged (no named values)")
    return settings


def _results_or_damage(folder: Path) -> tuple[dict[str, Any] | None, str | None]:
    """The results of a job that ended well, or what is wrong with those that it has."""
    if not (folder / RESULTS).exists():
        return None, None
    try:
        results = read_results(folder / RESULTS)
    except UserError as error:
        return None, str(error).replace(f"{folder}/", "")
    return (results, None) if "selection" in results else (None, f"{RESULTS}: of no training run")


def read_jobs(sweep_dir: Path, planned: Sequence[Sequence[str]] = ()) -> list[SweepJob]:
    """Every job of a sweep's folder, and those of ``planned`` settings that have none yet."""
    found = [read_job(path.parent.parent) for path in sorted(sweep_dir.glob(f"*/{OVERRIDES}"))]
    names = {job.folder.name for job in found}
    missing = [overrides for overrides in planned if folder_name(overrides) not in names]
    return [*found, *(SweepJob(sweep_dir / folder_name(overrides), by_key(overrides)) for overrides in missing)]


def perform_once(
    folder: Path,
    describe: Callable[[], str],
    perform: Callable[[], None],
    *,
    overrides: str = "[]\n",
    writes: bool = True,
) -> float | None:
    """Do a job of a sweep unless its folder holds the results of exactly these settings; a failure ends only this job.

    What an unfinished run, or one of other settings, has left in the folder is moved out of the way, never deleted. A
    job that another process is at, as on a cluster whose sweep was repeated too early, is left to it.

    Args:
        folder: of the job.
        describe: its resolved configuration as text; may raise what is wrong with it.
        perform: does it, writes ``config.yaml`` and, last, ``results.json``.
        overrides: its settings as they were typed, a YAML list; kept before it is done, so that a job that fails has
            them too.
        writes: this process is the one of several that moves and writes files.

    Returns:
        the validation figure of the best checkpoint; ``None`` if the job failed or is another process's.
    """
    if not writes:
        return _attempt(folder, describe, perform)

    def perform_afresh() -> None:
        _set_aside(folder)
        _keep(folder, overrides)
        perform()

    folder.mkdir(parents=True, exist_ok=True)
    with lock(folder / _JOB_LOCK) as state:
        if state != "taken":
            if not (folder / OVERRIDES).exists():
                _keep(folder, overrides)
            return _attempt(folder, describe, perform_afresh)
    say(f"another process is at it: {folder.name}")
    return None


def _keep(folder: Path, overrides: str) -> None:
    (folder / OVERRIDES).parent.mkdir(exist_ok=True)
    write_whole(folder / OVERRIDES, overrides)


def _attempt(folder: Path, describe: Callable[[], str], perform: Callable[[], None]) -> float | None:
    try:
        if not _holds_results_of(folder, describe()):
            perform()
        else:
            say(f"already done: {folder.name}")
    except UserError as error:
        _record_failure(folder, " ".join(str(error).split()), "")
    except Exception as error:
        _record_failure(folder, _one_line(error), traceback.format_exc())
    else:
        results = _results_or_damage(folder)[0]
        return None if results is None else float(results["selection"])
    return None


def _one_line(error: BaseException) -> str:
    """The error, and what it began with: cleaning up after an error often ends in another that says nothing."""
    first = error
    while first.__context__ is not None and not first.__suppress_context__:
        first = first.__context__
    described = [f"{type(shown).__name__}: {' '.join(str(shown).split())}"[:300] for shown in (error, first)]
    return described[0] if first is error else f"{described[0]} (after {described[1]})"


def _holds_results_of(folder: Path, description: str) -> bool:
    try:
        same = (folder / "config.yaml").read_text(encoding="utf-8") == description
    except OSError:
        return False
    return same and _results_or_damage(folder)[0] is not None


def _set_aside(folder: Path) -> None:
    """Move what an earlier run left, results first, so that they are never seen beside settings of another."""
    left = sorted((path for path in folder.iterdir() if path.name not in (_JOB_LOCK,)), key=lambda p: p.name != RESULTS)
    if [path.name for path in left] in ([], [".hydra"]):
        return
    place = (
        folder.parent / SET_ASIDE / f"{folder.name}~{time.strftime('%Y-%m-%d_%H-%M-%S')}-{time.time_ns() % 10**9:09}"
    )
    place.mkdir(parents=True)
    for path in left:
        shutil.move(path, place / path.name)


def _record_failure(folder: Path, line: str, trace: str) -> None:
    write_whole(folder / FAILURE, f"{line}\n{trace}")
    say(f"failed: {folder.name}: {line}")
