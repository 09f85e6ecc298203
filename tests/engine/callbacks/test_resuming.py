"""A run that was interrupted ends as if it had never stopped."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from selfalign.engine import training
from selfalign.engine.callbacks.collapse_warnings import CollapseWarnings
from selfalign.engine.callbacks.keep_last import KeepLast
from selfalign.errors import UserError
from tests.configs.test_composition import TINY, composed
from tests.conftest import write_scan_folder
from tests.end_to_end.commands import series

EPOCHS, STEPS = 3, 15


def settings(root: Path, backbone: str, *overrides: str) -> dict[str, Any]:
    config = composed(
        f"backbone={backbone}",
        "data=precomputed",
        f"data.root={root}",
        "data.workers=0",
        "data.batch_size=12",
        "backbone.width=8",
        "loss.concept.prototypes=6",
        f"training.epochs={EPOCHS}",
        "training.decay_every=2",
        "training.save_every=1",
        "strategy.accelerator=cpu",
        *TINY[backbone],
        *overrides,
    )
    config.pop("logger")
    return config


class CrashError(RuntimeError):
    pass


def train_until(monkeypatch: pytest.MonkeyPatch, step: int, config: dict[str, Any], folder: Path) -> None:
    """Train, and crash without a word before a step."""

    def crash(self: Any, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == step:
            raise CrashError

    with monkeypatch.context() as patch:
        patch.setattr(CollapseWarnings, "on_train_batch_start", crash)
        with pytest.raises(CrashError):
            training.train(config, folder, [])


def outcome(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True), series(folder)


def assert_the_same(a: Any, b: Any, where: str = "") -> None:
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for name in a:
            assert_the_same(a[name], b[name], f"{where}.{name}")
    elif isinstance(a, list):
        for index, (one, other) in enumerate(zip(a, b, strict=True)):
            assert_the_same(one, other, f"{where}[{index}]")
    else:
        assert a == b, where


LEARNED = ("loss.ranking.learned=true", "backbone.concepts=convolution")
AVERAGED = ("callbacks=[ema,early_stopping]", "callbacks.ema.decay=0.7", "scheduler=cosine")
PARTS = ("optimizer=adamw", "optimizer.word_rate=10", "scheduler.warm_up_steps=9", "augmentation.regions=0.3")
CASES = [  # each option once
    ("vsrn", ("loss=words", "recipe=tuned", *LEARNED, *PARTS)),
    ("vsrn", ("loss=selfalign", "data.workers=1")),
    ("camera", ("loss=selfalign", "+backbone.bert.scratch.hidden_dropout_prob=0.3")),
    ("camera", ("loss=baseline", *AVERAGED)),
    (
        "vsrn",
        (
            "loss=context",
            "augmentation.words=0.3",
            "scheduler=constant",
            "scheduler.warm_up_steps=4",
            "trainer.max_steps=13",
        ),
    ),
    ("vsrn", ("loss=baseline", "trainer.accumulate_grad_batches=2", "training.epochs=4")),
]
"""Three epochs of five steps, but for ``max_steps``, and for four epochs of three steps of two batches."""


@pytest.mark.parametrize(("backbone", "overrides"), CASES)
def test_a_run_that_goes_on_ends_bit_for_bit_as_one_that_never_stopped(
    scan_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backbone: str, overrides: tuple[str, ...]
) -> None:
    config = settings(scan_folder, backbone, *overrides)
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    expected = training.train(config, straight, [])
    last = {"trainer.max_steps=13": 13, "training.epochs=4": 12}.get(overrides[-1], STEPS)
    for step in (8, last - 1):  # in the middle of two epochs
        train_until(monkeypatch, step, config, broken)
    got = training.train(config, broken, [])
    (state, rows), (state_again, rows_again) = outcome(straight), outcome(broken)
    assert state["global_step"] == last
    assert state.keys() == state_again.keys()
    for part in state.keys() - {"loops", "epoch", "pytorch-lightning_version"}:
        assert_the_same(state[part], state_again[part], part)
    assert rows_again == rows
    assert (got["i2t"], got["t2i"], got["selection"]) == (expected["i2t"], expected["t2i"], expected["selection"])


def test_without_the_random_numbers_a_resumed_run_differs(
    scan_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That dropout matters in the test above."""
    config = settings(scan_folder, "camera", "loss=selfalign")
    training.train(config, tmp_path / "straight", [])
    train_until(monkeypatch, 8, config, tmp_path / "broken")
    monkeypatch.setattr(KeepLast, "on_train_batch_start", lambda *_: None)
    training.train(config, tmp_path / "broken", [])
    states = [outcome(tmp_path / name)[0]["state_dict"] for name in ("straight", "broken")]
    with pytest.raises(AssertionError):
        assert_the_same(*states)


@pytest.fixture(scope="module")
def vsrn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Data, and a folder with the run ``straight`` of them and the run ``broken``, which crashed in the middle."""
    folder = tmp_path_factory.mktemp("vsrn")
    root = write_scan_folder(folder / "scan", {"train": 12, "dev": 6, "test": 8})
    config = settings(root, "vsrn")
    training.train(config, folder / "straight", [])
    with pytest.MonkeyPatch.context() as patch:
        train_until(patch, 8, config, folder / "broken")
    return root, folder


def test_more_epochs_after_the_end_are_those_of_a_longer_run(vsrn: tuple[Path, Path], tmp_path: Path) -> None:
    root, runs = vsrn
    training.train(settings(root, "vsrn", "training.epochs=2"), tmp_path, [])
    training.train(settings(root, "vsrn"), tmp_path, [])
    (state, rows), (state_again, rows_again) = outcome(runs / "straight"), outcome(tmp_path)
    assert_the_same(state["state_dict"], state_again["state_dict"])
    assert rows_again == rows


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    vsrn: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    root, runs = vsrn
    moved = shutil.copytree(runs / "broken", tmp_path / "moved")
    last = moved / "checkpoints" / "last.ckpt"
    content = bytearray(last.read_bytes())
    if damage == "cut":
        last.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        last.write_bytes(content)
    else:
        last.unlink()
    training.train(settings(root, "vsrn"), moved, [])
    output = capsys.readouterr().out
    assert ("last.ckpt: damaged" in output) == (damage != "gone")
    assert "previous.ckpt" in output
    (state, rows), (state_again, rows_again) = outcome(runs / "straight"), outcome(moved)
    assert_the_same(state["state_dict"], state_again["state_dict"])
    assert rows_again == rows


def test_two_damaged_checkpoints_are_an_error_not_a_new_start(vsrn: tuple[Path, Path], tmp_path: Path) -> None:
    root, runs = vsrn
    moved = shutil.copytree(runs / "broken", tmp_path / "moved")
    for name in ("last", "previous"):
        (moved / "checkpoints" / f"{name}.ckpt").write_bytes(b"PK")
    with pytest.raises(UserError, match="none of them can be read"):
        training.train(settings(root, "vsrn"), moved, [])


def test_a_run_does_not_go_on_with_other_words(
    scan_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(scan_folder, "vsrn")
    train_until(monkeypatch, 2, config, tmp_path / "run")
    captions = scan_folder / "train_caps.txt"
    captions.write_text(captions.read_text().replace("dog", "hound").replace("a ", "ein "))
    with pytest.raises(UserError, match="training data have changed"):
        training.train(config, tmp_path / "run", [])


def test_init_from_takes_the_weights_and_names_what_stays_fresh(
    scan_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = ("training.epochs=1", "loss=baseline", "loss.towers=selfalign")
    training.train(settings(scan_folder, "vsrn", *first), tmp_path / "first", [])
    best = tmp_path / "first" / "checkpoints" / "best.ckpt"
    start = f"init_from={best}"
    capsys.readouterr()
    still = (*first, "training.learning_rate=1e-30", start)
    training.train(settings(scan_folder, "vsrn", *still), tmp_path / "same", [])
    states = [
        torch.load(path, weights_only=True)["state_dict"]
        for path in (best, tmp_path / "same" / "checkpoints" / "best.ckpt")
    ]
    trained = [name for name in states[0] if "running" not in name and "num_batches" not in name]
    assert all(torch.equal(states[0][name], states[1][name]) for name in trained)
    training.train(settings(scan_folder, "vsrn", *still, "loss=selfalign"), tmp_path / "more", [])
    assert "stay fresh" in capsys.readouterr().out
    with pytest.raises(UserError, match="do not fit the model"):
        training.train(settings(scan_folder, "vsrn", *still, "backbone.width=16"), tmp_path / "b", [])
    with pytest.raises(UserError, match="another vocabulary"):
        training.train(settings(scan_folder, "vsrn", *still, "backbone.vocabulary.minimum_count=6"), tmp_path / "c", [])
