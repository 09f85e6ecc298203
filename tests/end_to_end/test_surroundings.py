"""Runs in surroundings that are not made for them: terminals, schedulers, names of folders."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.commands import VSRN, results, run, run_fresh

SHORT = (*VSRN, "training.epochs=1")


def train_in(
    folder: Path, name: str, *more: str, way: Callable[..., Any] = run_fresh, **variables: str
) -> subprocess.CompletedProcess[str]:
    """In a fresh interpreter, unless ``way`` is another: libraries read the environment when they are imported."""
    return way("train.py", *SHORT, *more, f"hydra.run.dir={name}", cwd=folder, **variables)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on a terminal that knows ASCII only, its name being one that Hydra's grammar stops at."""
    folder = tmp_path_factory.mktemp("surroundings")
    done = train_in(folder, "a=1,b~c", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.isascii()
    assert "image -> text" in done.stdout
    return folder


def test_an_ascii_terminal_loses_no_results(folder: Path) -> None:
    assert results(folder / "a=1,b~c")["images"] == 20


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("ranked", {"RANK": "1", "WORLD_SIZE": "2"}),
        ("slurm", {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "4", "SLURM_PROCID": "2", "SLURM_LOCALID": "2"}),
    ],
)
def test_what_a_scheduler_left_makes_no_other_run(folder: Path, name: str, variables: dict[str, str]) -> None:
    done = train_in(folder, name, **variables)
    assert done.returncode == 0, done.stderr[-2000:]
    assert results(folder / name)["rsum"] == results(folder / "a=1,b~c")["rsum"]


def test_a_stray_local_rank_keeps_no_processes_waiting(folder: Path) -> None:
    done = train_in(folder, "two", "strategy=ddp_cpu", way=run, LOCAL_RANK="0")
    assert done.returncode == 0, done.stderr[-2000:]
    assert (folder / "two" / "results.json").exists()


def test_a_refused_command_leaves_a_finished_run_as_it_is_and_no_folder(folder: Path) -> None:
    before = {path: path.read_bytes() for path in (folder / "a=1,b~c").rglob("*") if path.is_file()}
    done = train_in(folder, "a=1,b~c", "loss=baseline", way=run)
    assert done.returncode == 1
    assert "holds a run already" in done.stderr
    assert {path: path.read_bytes() for path in (folder / "a=1,b~c").rglob("*") if path.is_file()} == before
    for setting in ("training.epochs=0", "data.protocol=foo", "data.root=[a,b]"):
        done = train_in(folder, "refused", setting, way=run)
        assert done.returncode == 1
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert not (folder / "refused").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "python eval.py checkpoints=RUN"),
        (("checkpoints=a=1,b~c", "protocol=foo"), "protocol"),
        (("checkpoints=a=1,b~c,nowhere.ckpt",), "nowhere.ckpt: no such file"),
    ],
)
def test_what_is_cheap_is_refused_before_anything_is_encoded(
    folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = run("eval.py", *arguments, "hydra.run.dir=evaluated", cwd=folder)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not (folder / "evaluated").exists()


def test_a_run_of_any_name_is_evaluated_without_quotes(folder: Path) -> None:
    done = run("eval.py", "checkpoints=a=1,b~c", "hydra.run.dir=again", "strategy.accelerator=cpu", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert results(folder / "again")["rsum"] == results(folder / "a=1,b~c")["rsum"]
