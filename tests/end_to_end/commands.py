"""train.py and eval.py as the tests call them, and what their runs leave."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from selfalign.reports.curves import read_series
from tests.starting import processes
from tests.starting.processes import ROOT, Started

SCENES = ("data.scenes.train=60", "data.scenes.dev=10", "data.scenes.test=20")
TINY = (
    *SCENES,
    "data.batch_size=32",
    "backbone.width=16",
    "training.epochs=2",
    "loss.concept.prototypes=8",
    "strategy.accelerator=cpu",
)
VSRN = (*TINY, "backbone=vsrn", "loss.captioning.hidden=16", "loss.captioning.word_width=8")


def run(program: str, *overrides: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the checkout's root to its end."""
    return processes.run(str(ROOT / program), *overrides, cwd=cwd, **variables)


def run_fresh(program: str, *overrides: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The same in an interpreter of its own."""
    return processes.run_fresh(str(ROOT / program), *overrides, cwd=cwd, **variables)


def start(program: str, *overrides: str, cwd: Path, new_session: bool = False) -> Started:
    """Start a program of the checkout's root."""
    return processes.start(str(ROOT / program), *overrides, cwd=cwd, new_session=new_session)


def succeed(program: str, *overrides: str, cwd: Path) -> str:
    """Run a program that must end well; its standard output."""
    done = run(program, *overrides, cwd=cwd)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def series(folder: Path) -> dict[str, tuple[list[int], list[float]]]:
    """What ``metrics.csv`` says of training, less how fast it was."""
    found = read_series(folder / "metrics.csv")
    assert "val/rsum" in found
    return {name: values for name, values in found.items() if name != "train/pairs_per_second"}


def results(folder: Path) -> dict[str, Any]:
    """The record of a run's test."""
    return json.loads((folder / "results.json").read_text())
