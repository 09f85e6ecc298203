"""python train.py -m as a user runs it: a leaderboard, jobs that fail, interruptions, and what is left to do."""

from __future__ import annotations

import csv
import fcntl
import os
import signal
from pathlib import Path

import pytest

from selfalign.processes.place import TORCHRUN
from tests.conftest import write_scan_folder
from tests.end_to_end.commands import SCENES, results, run, start, succeed

SMOKE = ("debug=smoke", *SCENES, "strategy.accelerator=cpu")
GRID = ("loss.context.weight=1,2", "seed=1,2")
REPEAT = "the same command runs only what is missing"
OF_TORCHRUN = {name: "0" for name in TORCHRUN} | {"WORLD_SIZE": "2"}
FAILING = ("data.val_split=dev,nosuch", "seed=1,2")


def board(sweep: Path) -> list[dict[str, str]]:
    with (sweep / "leaderboard.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def done(sweep: Path) -> dict[str, int]:
    """When the results of every job were written, by its folder."""
    return {path.parent.name: path.stat().st_mtime_ns for path in sweep.glob("*/results.json")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sweep of which half of the jobs fail, and what it said."""
    folder = tmp_path_factory.mktemp("sweeps")
    ended = run("train.py", "-m", *SMOKE, *FAILING, "hydra.sweep.dir=failing", cwd=folder)
    (folder / "failing.out").write_text(ended.stdout)
    (folder / "failing.err").write_text(ended.stderr)
    (folder / "failing.code").write_text(str(ended.returncode))
    return folder


def test_a_job_that_fails_is_a_row_and_the_sweep_goes_on(folder: Path) -> None:
    first, second = board(folder / "failing")
    assert (first["best"], first["data.val_split"], first["seeds_done"], first["state"]) == (
        "yes",
        "dev",
        "2",
        "done",
    )
    assert second["seeds_done"] == "0"
    assert second["state"].startswith("2 failed: data folder")
    assert "nosuch" in second["state"]
    records = [results(path) for path in sorted((folder / "failing").iterdir()) if (path / "results.json").exists()]
    assert [record["seed"] for record in records] == [1, 2]
    mean = sum(record["selection"] for record in records) / 2
    assert float(first["val_selection_mean"]) == pytest.approx(mean)
    assert float(first["test_rsum_mean"]) == pytest.approx(sum(record["rsum"] for record in records) / 2)
    assert (folder / "failing" / "leaderboard.png").stat().st_size > 5000


def test_the_end_of_a_sweep_with_failures_is_one_line_and_a_failure(folder: Path) -> None:
    assert (folder / "failing.code").read_text() == "1"
    assert (folder / "failing.err").read_text().strip().splitlines()[-1] == (
        f"sweep failing: of 4 jobs 2 failed (see */failure.txt); {REPEAT}"
    )
    output = (folder / "failing.out").read_text()
    assert "leaderboard: 2 settings, 2 of 4 jobs done" in output
    assert "leaderboard: failing/leaderboard.csv, .png" in output


def test_a_job_of_a_sweep_gives_the_numbers_of_a_single_run(folder: Path) -> None:
    """The second job of its process."""
    succeed("train.py", *SMOKE, "data.val_split=dev", "seed=2", "hydra.run.dir=single", cwd=folder)
    single = results(folder / "single")
    (job,) = (name for name in done(folder / "failing") if "seed=2" in name)
    for key in ("selection", "rsum", "i2t", "t2i", "alignment"):
        assert results(folder / "failing" / job)[key] == single[key]


def test_edited_defaults_are_run_again_and_the_old_results_kept(folder: Path) -> None:
    """The settings on the command line are the same; where the data lie is not."""
    before = done(folder / "failing")
    (folder / "elsewhere").symlink_to(folder / "data")
    ended = run("train.py", "-m", *SMOKE, *FAILING, "hydra.sweep.dir=failing", cwd=folder, SELFALIGN_DATA="elsewhere")
    assert "already done" not in ended.stdout
    after = done(folder / "failing")
    assert after.keys() == before.keys()
    assert all(after[name] > before[name] for name in before)
    assert len(list((folder / "failing" / "set_aside").glob("*/results.json"))) == 2
    assert all(results(folder / "failing" / name)["data_root"] == "elsewhere/scenes" for name in after)


def interrupt(folder: Path, moment: str, times: int, number: signal.Signals) -> tuple[int, str, list[str]]:
    """Run the grid and send it a signal when it has said ``moment`` so often; exit code, output, lines of errors."""
    process = start("train.py", "-m", *SMOKE, *GRID, cwd=folder)
    for line in process.stdout:
        times -= line.startswith(moment)
        if not times:
            process.send_signal(number)
            break
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors.splitlines()


def test_an_interrupted_sweep_says_so_and_its_repetition_runs_only_what_is_missing(folder: Path) -> None:
    before: dict[str, int] = {}
    for moment, times, number in (("reading train", 2, signal.SIGINT), ("testing checkpoints", 1, signal.SIGTERM)):
        code, output, errors = interrupt(folder, moment, times, number)
        (sweep,) = (folder / "runs" / "sweeps").iterdir()
        found = done(sweep)
        assert code == 1
        assert 1 <= len(found) < 4
        assert {name: found[name] for name in before} == before
        assert f"leaderboard: 2 settings, {len(found)} of 4 jobs done" in output
        assert f"sweep runs/sweeps/{sweep.name}: of 4 jobs {4 - len(found)} not finished; {REPEAT}" in errors
        assert board(sweep)[-1]["state"] != "done"
        before = found

    output = succeed("train.py", "-m", *SMOKE, *GRID, cwd=folder)
    after = done(sweep)
    assert len(after) == 4
    assert {name: after[name] for name in before} == before
    assert output.count("already done: ") == len(before)
    assert "leaderboard: 2 settings, 4 of 4 jobs done" in output
    assert [row["state"] for row in board(sweep)] == ["done", "done"]
    assert all(row["seeds_done"] == "2" and float(row["val_selection_std"]) >= 0 for row in board(sweep))


def test_every_preset_runs_in_one_smoke_sweep(folder: Path) -> None:
    root = write_scan_folder(folder / "small", {"train": 12, "dev": 6, "test": 8, "testall": 8})
    presets = "experiment=camera_f30k,camera_coco,vsrn_f30k,vsrn_coco"
    settings = (presets, "loss=selfalign", "debug=smoke", f"data.root={root}", "strategy.accelerator=cpu")
    succeed("train.py", "-m", *settings, "hydra.sweep.dir=presets", cwd=folder)
    rows = board(folder / "presets")
    assert len(rows) == len({row["experiment"] for row in rows}) == 4
    assert {row["state"] for row in rows} == {"done"}
    marked = {row["experiment"].partition("_")[2] for row in rows if row["best"]}
    assert marked == {"f30k", "coco"}  # which do not compete


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (("loss=concept,typo",), {}, "typo"),
        (("seed=1,2",), OF_TORCHRUN, "without torchrun or srun"),
        (("+sweep.typo=1,2",), {}, "sweep.typo: unknown setting"),
    ],
)
def test_a_mistake_in_a_sweep_is_told_before_or_in_its_jobs(
    folder: Path, arguments: tuple[str, ...], environment: dict[str, str], message: str
) -> None:
    ended = run("train.py", "-m", *SMOKE, *arguments, "hydra.sweep.dir=mistake", cwd=folder, **environment)
    assert ended.returncode == 1
    assert message in ended.stderr + ended.stdout
    assert len(ended.stderr.strip().splitlines()) == 1
    assert not done(folder / "mistake")


def test_two_processes_do_not_run_one_sweep(folder: Path) -> None:
    (folder / "busy").mkdir()
    with (folder / "busy" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended = run("train.py", "-m", *SMOKE, "seed=1,2", "hydra.sweep.dir=busy", cwd=folder)
    assert ended.returncode == 1
    assert ended.stderr.strip() == "error: sweep busy: another process is running it"
    assert os.listdir(folder / "busy") == [".lock"]


def test_a_search_in_two_processes_ends_with_a_leaderboard_and_is_repeated_for_nothing(folder: Path) -> None:
    search = ("sweep=optuna", "hydra.sweeper.n_trials=2", "loss.concept.weight=interval(0.25,4)")
    parallel = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweeper.n_jobs=2", "data.workers=1")
    succeed("train.py", "-m", *SMOKE, *search, *parallel, "hydra.sweep.dir=search", cwd=folder)
    before = done(folder / "search")
    assert len(before) == len(board(folder / "search")) == 2
    succeed("train.py", "-m", *SMOKE, *search, *parallel[2:], "hydra.sweep.dir=search", cwd=folder)
    assert done(folder / "search") == before
    assert (folder / "search" / "optimization_results.yaml").exists()
