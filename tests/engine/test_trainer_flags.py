"""Every flag of Lightning's Trainer does in a run what Lightning's documentation says, or is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from selfalign.engine import training
from selfalign.errors import UserError
from tests.end_to_end.commands import series
from tests.engine.callbacks.test_resuming import settings

STEPS = 5
"""Of an epoch: 60 captions in batches of 12."""


def trained(root: Path, folder: Path, *overrides: str) -> dict[str, Any]:
    config = settings(root, "vsrn", "loss=baseline", "loss.captioning.weight=0", "training.epochs=2", *overrides)
    return training.train(config, folder, [])


def steps(folder: Path) -> int:
    return int(torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"])


def validations(folder: Path) -> list[int]:
    """Steps done before each; Lightning's files count steps from 0."""
    return [step + 1 for step in series(folder)["val/rsum"][0]]


@pytest.mark.parametrize(
    ("flags", "expected", "validated"),
    [
        (("trainer.limit_train_batches=2",), 4, [2, 4]),
        (("trainer.limit_train_batches=0.4",), 4, [2, 4]),
        (("trainer.overfit_batches=1",), 2, [1, 2]),
        (("trainer.max_steps=3",), 3, [3]),
        (("trainer.accumulate_grad_batches=2",), 6, [3, 6]),
        (("trainer.check_val_every_n_epoch=2",), 10, [10]),
        (("trainer.num_sanity_val_steps=1",), 10, [5, 10]),
        (("training.validate_every=2",), 10, [2, 4, 5, 6, 8, 10]),
    ],
)
def test_a_flag_says_how_long_training_is_and_when_it_is_validated(
    scan_folder: Path, tmp_path: Path, flags: tuple[str, ...], expected: int, validated: list[int]
) -> None:
    record = trained(scan_folder, tmp_path, *flags)
    assert (steps(tmp_path), validations(tmp_path)) == (expected, validated)
    assert record["protocol"] == "full"
    figures = {name: values for name, (_, values) in series(tmp_path).items()}
    recalls = [figures[f"val/{side}_r{depth}"] for side in ("i2t", "t2i") for depth in (1, 5)]
    assert figures["val/selection"] == pytest.approx([sum(row) for row in zip(*recalls, strict=True)])


def test_after_its_time_a_training_is_validated_and_tested(scan_folder: Path, tmp_path: Path) -> None:
    record = trained(scan_folder, tmp_path, "trainer.max_time=00:00:00:01", "training.epochs=900")
    assert 0 < steps(tmp_path) < 4500
    assert validations(tmp_path)[-1] == steps(tmp_path)
    assert record["protocol"] == "full"


@pytest.mark.parametrize("flag", ["trainer.limit_test_batches=1", "trainer.limit_test_batches=0.5"])
def test_recall_of_a_part_of_the_test_split_is_of_no_protocol(scan_folder: Path, tmp_path: Path, flag: str) -> None:
    record = trained(scan_folder, tmp_path, "trainer.limit_train_batches=1", flag, "data.batch_size=4")
    assert record["protocol"] == "part"
    assert record["images"] < 8


def test_recall_of_a_part_of_the_dev_split_is_said_to_be_one(
    scan_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(scan_folder, tmp_path, "trainer.limit_train_batches=1", "trainer.limit_val_batches=1", "data.batch_size=4")
    (line, *_) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step")]
    assert "a part of dev, 1 images · 2 captions:" in line


def test_a_profile_lies_in_the_run_folder(scan_folder: Path, tmp_path: Path) -> None:
    trained(scan_folder, tmp_path, "trainer.limit_train_batches=1", "trainer.profiler=simple")
    assert any("run_training_epoch" in path.read_text() for path in tmp_path.glob("*profile*"))


def test_a_fast_dev_run_goes_through_everything_and_keeps_nothing(
    scan_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(scan_folder, tmp_path / "run", "trainer.fast_dev_run=2")
    assert "nothing was kept" in capsys.readouterr().out
    assert not list((tmp_path / "run").rglob("*.*"))


@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-mixed", "bf16-true", "16-true"])
def test_a_precision_trains_and_tests(scan_folder: Path, tmp_path: Path, precision: str) -> None:
    flags = ("trainer.limit_train_batches=2", f"strategy.precision={precision}", "loss=selfalign")
    assert trained(scan_folder, tmp_path, *flags)["protocol"] == "full"
    assert steps(tmp_path) == 4


def test_a_precision_that_the_machine_does_not_have_is_refused(scan_folder: Path, tmp_path: Path) -> None:
    """Lightning would take another and go on."""
    with pytest.raises(UserError, match=r"strategy\.precision=16-mixed: this machine does not have it"):
        trained(scan_folder, tmp_path, "strategy.precision=16-mixed")
