"""Runs in surroundings that are not made for them: terminals, schedulers, names of folders."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.commands import VSRN, results, run, run_fresh, series

SHORT = (*VSRN, "training.epochs=1")


NAME = "a=1,b~c"
"""Of a run: Hydra's grammar stops at it."""
ODD = {
    "PYTHONIOENCODING": "ascii",  # a terminal that knows no more
    "PYTHONHASHSEED": "1",  # sets in another order
}


def train_in(folder: Path, name: str, *more: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return run("train.py", *SHORT, *more, f"hydra.run.dir={name}", cwd=folder, **variables)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run in odd surroundings, and the same run in plain ones.

    The former has a fresh interpreter: libraries read the environment when they are imported.
    """
    folder = tmp_path_factory.mktemp("surroundings")
    done = run_fresh("train.py", *SHORT, f"hydra.run.dir={NAME}", cwd=folder, **ODD)
    assert done.returncode == 0, done.stderr[-2000:]
    (folder / "odd.out").write_text(done.stdout)
    assert train_in(folder, "plain").returncode == 0
    return folder


def test_an_ascii_terminal_loses_no_results(folder: Path) -> None:
    output = (folder / "odd.out").read_text()
    assert output.isascii()
    assert "image -> text" in output
    assert results(folder / NAME)["images"] == 20


def test_the_same_seed_gives_the_same_numbers_in_any_surroundings(folder: Path) -> None:
    assert results(folder / NAME)["rsum"] == results(folder / "plain")["rsum"]
    assert series(folder / NAME) == series(folder / "plain")


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("ranked", {"RANK": "1", "WORLD_SIZE": "2"}),
        ("slurm", {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "4", "SLURM_PROCID": "2", "SLURM_LOCALID": "2"}),
    ],
)
def test_what_a_scheduler_left_makes_no_other_run(folder: Path, name: str, variables: dict[str, str]) -> None:
    done = run_fresh("train.py", *SHORT, f"hydra.run.dir={name}", cwd=folder, **variables)
    assert done.returncode == 0, done.stderr[-2000:]
    assert results(folder / name)["rsum"] == results(folder / "plain")["rsum"]


def test_a_stray_local_rank_keeps_no_processes_waiting(folder: Path) -> None:
    done = train_in(folder, "two", "strategy=ddp_cpu", LOCAL_RANK="0")
    assert done.returncode == 0, done.stderr[-2000:]
    assert (folder / "two" / "results.json").exists()


def test_a_refused_command_leaves_a_finished_run_as_it_is_and_no_folder(folder: Path) -> None:
    before = {path: path.read_bytes() for path in (folder / NAME).rglob("*") if path.is_file()}
    done = train_in(folder, NAME, "loss=baseline")
    assert done.returncode == 1
    assert "holds a run already" in done.stderr
    assert {path: path.read_bytes() for path in (folder / NAME).rglob("*") if path.is_file()} == before
    for setting in ("training.epochs=0", "data.protocol=foo", "data.root=[a,b]"):
        done = train_in(folder, "refused", setting)
        assert done.returncode == 1
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert not (folder / "refused").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "python eval.py checkpoints=RUN"),
        ((f"checkpoints={NAME}", "protocol=foo"), "protocol"),
        ((f"checkpoints={NAME},nowhere.ckpt",), "nowhere.ckpt: no such file"),
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
    done = run("eval.py", f"checkpoints={NAME}", "hydra.run.dir=again", "strategy.accelerator=cpu", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert results(folder / "again")["rsum"] == results(folder / NAME)["rsum"]
