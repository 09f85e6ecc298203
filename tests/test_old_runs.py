"""Runs of an earlier version go on loading, resuming and evaluating to the last digit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from selfalign.data.scenes import ensure_scenes
from selfalign.engine.evaluation import evaluate_checkpoints
from tests.end_to_end.commands import succeed

ROOT = Path(__file__).parents[1]
CPU = {"strategy": "auto", "accelerator": "cpu", "devices": 1, "num_nodes": 1, "precision": "32-true"}
FIGURES = ("i2t", "t2i", "rsum", "alignment", "images", "captions")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The old runs beside the data that they name."""
    folder = tmp_path_factory.mktemp("old")
    ensure_scenes(root=folder / "scenes", seed=0, train=60, dev=10, test=12, progress=lambda line: None)
    for name in ("camera", "vsrn"):
        shutil.copytree(ROOT / "tests" / "old_runs" / name, folder / name)
    return folder


def assert_as_expected(record: dict[str, Any], path: Path) -> None:
    """Every figure of that version to the last digit; further ones may have come since."""
    expected = json.loads(path.read_text())
    for name in FIGURES:
        if isinstance(expected[name], dict):
            assert {key: record[name][key] for key in expected[name]} == expected[name]
        else:
            assert record[name] == expected[name]


@pytest.mark.parametrize("name", ["camera", "vsrn"])
def test_an_old_checkpoint_evaluates_to_the_last_digit(folder: Path, name: str, tmp_path: Path) -> None:
    checkpoint, data = folder / name / "checkpoints" / "best.ckpt", {"root": str(folder / "scenes")}
    record = evaluate_checkpoints([checkpoint], tmp_path, strategy=CPU, data=data)
    assert_as_expected(record, folder / name / "expected.json")


@pytest.mark.parametrize("name", ["camera", "vsrn"])
def test_an_old_run_resumes_to_the_last_digit(folder: Path, name: str) -> None:
    succeed("train.py", f"resume={name}", "training.epochs=3", cwd=folder)
    record = json.loads((folder / name / "results.json").read_text())
    assert_as_expected(record, folder / name / "expected_resumed.json")
