"""train.py and eval.py with several processes: the numbers of one, one tree of folders, and a clean end."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch

from selfalign.files.torch_files import read_torch_file
from tests.end_to_end import commands
from tests.end_to_end.commands import VSRN, results, run, series, succeed
from tests.starting import processes
from tests.starting.processes import ROOT, Started

STILL = (*VSRN, "loss.captioning.dropout=0", "training.epochs=1", "data.batch_size=64")
DDP = "strategy=ddp_cpu"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of one process, and one of two."""
    folder = tmp_path_factory.mktemp("several")
    succeed("train.py", *STILL, "hydra.run.dir=one", cwd=folder)
    (folder / "two.out").write_text(succeed("train.py", *STILL, DDP, "hydra.run.dir=two", cwd=folder))
    return folder


def test_a_run_of_two_processes_is_a_run_of_one(folder: Path) -> None:
    """Five steps, BatchNorm in training mode, 44 pairs in the last batch."""
    states = [read_torch_file(folder / name / "checkpoints" / "last.ckpt", "checkpoint") for name in ("one", "two")]
    assert states[0]["global_step"] == states[1]["global_step"] == 5
    for name, values in states[0]["state_dict"].items():
        torch.testing.assert_close(states[1]["state_dict"][name], values, rtol=1e-5, atol=1e-5, msg=name)


def test_results_of_two_processes_are_those_of_one(folder: Path) -> None:
    one, two = (results(folder / name) for name in ("one", "two"))
    for name in ("i2t", "t2i", "rsum", "alignment", "selection", "protocols", "images", "captions"):
        assert two[name] == one[name], name


def test_only_the_first_process_writes(folder: Path) -> None:
    one, two = ({path.relative_to(folder / run) for path in (folder / run).rglob("*")} for run in ("one", "two"))
    assert one == two
    assert (folder / "two.out").read_text().count("\nrsum ") == 1


@pytest.mark.parametrize("processes", [2, 3])
def test_evaluation_gives_the_numbers_of_one_process(folder: Path, processes: int) -> None:
    """20 images in batches of 64: all but one process have nothing of their own to show."""
    settings = (DDP, f"strategy.devices={processes}", f"hydra.run.dir=eval-{processes}")
    succeed("eval.py", "checkpoints=[one/checkpoints/best.ckpt]", *settings, cwd=folder)
    found, expected = results(folder / f"eval-{processes}"), results(folder / "one")
    for name in ("i2t", "t2i", "rsum", "alignment", "images", "captions"):
        assert found[name] == expected[name]


def test_a_multirun_gives_one_tree_and_each_job_its_own_setting(folder: Path) -> None:
    succeed("train.py", "-m", *STILL, DDP, "seed=5,6", "hydra.sweep.dir=sweep", cwd=folder)
    jobs = {results(path)["seed"]: path for path in (folder / "sweep").iterdir() if path.is_dir()}
    files = {path.name for path in (folder / "sweep").iterdir()} - {path.name for path in jobs.values()}
    assert files == {".lock", "multirun.yaml", "leaderboard.csv", "leaderboard.png"}
    one = {path.relative_to(folder / "one") for path in (folder / "one").rglob("*")}
    assert jobs.keys() == {5, 6}
    for seed, job in jobs.items():
        assert {path.relative_to(job) for path in job.rglob("*")} == one | {Path(".job.lock")}
        assert f"seed={seed}" in job.name
    assert not (folder / "multirun").exists()
    assert not (folder / "outputs").exists()


def test_torchrun_starts_the_processes_as_well(folder: Path) -> None:
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(ROOT / "train.py"))
    done = processes.run_fresh(*torchrun, *STILL, DDP, "hydra.run.dir=torchrun", cwd=folder, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    assert series(folder / "torchrun") == series(folder / "two")


def test_a_batch_that_cannot_be_shared_out_is_one_line(folder: Path) -> None:
    done = run("train.py", *STILL, DDP, "data.batch_size=33", cwd=folder)
    assert done.returncode != 0
    assert done.stderr.strip().splitlines() == [
        "error: data.batch_size: 33 pairs cannot be shared out evenly to 2 processes; "
        "it is the batch of all of them together, use a multiple of 2"
    ]


def start(folder: Path, name: str) -> tuple[Started, list[int]]:
    """A long run of two processes after its first validation, and their ids."""
    process = commands.start("train.py", *STILL, DDP, "training.epochs=500", f"hydra.run.dir={name}", cwd=folder)
    for line in process.stdout:
        if line.startswith("step"):
            break
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return process, [int(child) for child in children]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except OSError:
        return True


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@linux
@pytest.mark.parametrize("victim", [0, 1])
def test_when_a_process_is_killed_all_end_and_it_is_named(folder: Path, victim: int) -> None:
    process, workers = start(folder, f"killed-{victim}")
    os.kill(workers[victim], signal.SIGKILL)
    began = time.monotonic()
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - began < 30
    assert process.returncode != 0
    assert f"process {victim} was ended by SIGKILL" in errors.strip().splitlines()[-1]
    assert all(gone(pid) for pid in workers)


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_all_processes_stop_after_their_step_with_their_state_saved(
    folder: Path, number: signal.Signals
) -> None:
    process, workers = start(folder, number.name)
    process.send_signal(number)
    output, errors = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "interrupted at step" in output
    assert errors.strip().splitlines()[-1] == "interrupted"
    assert all(gone(pid) for pid in workers)
    state = read_torch_file(folder / number.name / "checkpoints" / "last.ckpt", "checkpoint")
    assert state["global_step"] >= 5


@linux
def test_no_process_outlives_the_one_that_started_it(folder: Path) -> None:
    process, workers = start(folder, "orphans")
    process.kill()
    process.communicate(timeout=30)
    end = time.monotonic() + 20
    while not all(gone(pid) for pid in workers) and time.monotonic() < end:
        time.sleep(0.2)
    assert all(gone(pid) for pid in workers)
