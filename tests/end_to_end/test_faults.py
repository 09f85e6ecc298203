"""Runs that are stopped, killed or crowded, as their user sees it: real processes, real files."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from tests.end_to_end.commands import VSRN, results, run, series, start, succeed

SMALL = (*VSRN, "scheduler=step", "training.epochs=4", "training.save_every=2")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def assert_same_runs(one: Path, other: Path) -> None:
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert series(one) == series(other)
    for key in ("i2t", "t2i", "selection", "alignment"):
        assert results(one)[key] == results(other)[key]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run ``straight``, which nothing has disturbed."""
    folder = tmp_path_factory.mktemp("faults")
    succeed("train.py", *SMALL, "hydra.run.dir=straight", cwd=folder)
    return folder


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_saves_and_goes_on(straight: Path, number: signal.Signals) -> None:
    """A terminal and a cluster signal the whole group, loader processes too."""
    name = number.name
    process = start("train.py", *SMALL, "data.workers=2", f"hydra.run.dir={name}", cwd=straight, new_session=True)
    for line in process.stdout:
        if line.startswith("step"):
            os.killpg(process.pid, number)
            break
    output, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "Traceback" not in errors
    assert f"resume={name} goes on after step" in output
    assert "going on after step" in succeed("train.py", f"resume={name}", cwd=straight)
    assert_same_runs(straight / "straight", straight / name)
    assert "is finished" in succeed("train.py", f"resume={name}", cwd=straight)


def test_a_run_killed_at_any_moment_goes_on(straight: Path) -> None:
    """Moments of one seed, which may fall before the first checkpoint, into its writing, or into validation."""
    moments = random.Random(4)
    for attempt in range(5):
        arguments = (
            ["resume=killed"] if (straight / "killed" / "config.yaml").exists() else [*SMALL, "hydra.run.dir=killed"]
        )
        process = start("train.py", *arguments, cwd=straight)
        try:
            process.communicate(timeout=1 + attempt + moments.random() if attempt < 4 else 100)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        if process.returncode == 0:
            break
    assert process.returncode == 0
    assert attempt > 0  # killed at least once
    assert_same_runs(straight / "straight", straight / "killed")


def test_two_runs_never_share_a_folder(straight: Path) -> None:
    done = run("train.py", *SMALL, "hydra.run.dir=straight", cwd=straight)
    assert done.returncode != 0
    assert done.stderr.strip().splitlines() == [
        "error: straight: holds a run already; python train.py resume=straight goes on with it, "
        "or name another folder as hydra.run.dir"
    ]
    process = start("train.py", *SMALL, "hydra.run.dir=busy", "training.epochs=500", cwd=straight)
    while not (straight / "busy" / "config.yaml").exists():
        time.sleep(0.1)
    try:
        done = run("train.py", "resume=busy", cwd=straight)
        assert done.returncode != 0
        assert done.stderr.strip().splitlines() == ["error: busy: another process is running in this folder"]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resume=nowhere",), "nowhere holds no run"),
        (("resume=straight", "loss.concept.weight=3"), "loss.concept.weight cannot differ"),
        (("resume=straight", "seed=3"), "seed cannot differ"),
        (("resume=straight", "-m"), "-m does not go with it"),
    ],
)
def test_what_cannot_be_resumed_is_one_line(straight: Path, arguments: tuple[str, ...], message: str) -> None:
    done = run("train.py", *arguments, cwd=straight)
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert message in done.stderr


def test_results_of_fewer_epochs_do_not_pass_for_those_of_more(straight: Path) -> None:
    """More epochs are asked for, and that run is stopped; the old results must not be taken for the new ones."""
    shutil.copytree(straight / "straight", straight / "longer")
    old = (straight / "longer" / "results.json").read_text()
    process = start("train.py", "resume=longer", "training.epochs=300", cwd=straight)
    for line in process.stdout:
        if line.startswith("step"):
            process.send_signal(signal.SIGTERM)
            break
    process.communicate(timeout=120)
    assert process.returncode != 0
    assert not (straight / "longer" / "results.json").exists()
    assert (straight / "longer" / "results_of_4_epochs.json").read_text() == old


def test_features_that_vanish_or_shrink_in_mid_run_are_one_line_and_the_run_goes_on(straight: Path) -> None:
    """The file comes back, and the run ends as if it had never been away."""
    features = straight / "data" / "scenes" / "train_ims.npy"
    content = features.read_bytes()
    process = start("train.py", *SMALL, "hydra.run.dir=vanished", cwd=straight)
    for line in process.stdout:
        if line.startswith("step"):
            os.truncate(features, len(content) // 2)
            features.unlink()
            break
    _, errors = process.communicate(timeout=120)
    features.write_bytes(content)
    assert process.returncode != 0
    lines = errors.strip().splitlines()
    assert lines[-1].startswith("error: features "), errors
    assert "Traceback" not in errors
    succeed("train.py", "resume=vanished", cwd=straight)
    assert_same_runs(straight / "straight", straight / "vanished")
