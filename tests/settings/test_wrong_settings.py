"""A wrong setting is one line that names key, expected and got, before any folder is made."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from selfalign.commands.composing import prepared
from selfalign.errors import UserError
from selfalign.settings import TrainingRun, checked
from tests.end_to_end.commands import run
from tests.settings.wrong_settings import Wrong, wrong_settings

WRONG = wrong_settings()
BY_HAND = {  # of the issue, and what was silently right or a traceback before
    "loss.ranking.hardest=maybe": "expected true or false, got 'maybe'",
    "backbone.width=abc": "expected a whole number of at least 1, got 'abc'",
    "training.epochs=abc": "expected a whole number of at least 1 (epochs), got 'abc'",
    "training.epochs=0": "expected a whole number of at least 1 (epochs), got 0",
    "training.epochs=-1": "expected a whole number of at least 1 (epochs), got -1",
    "data.workers=1.5": "expected a whole number of at least 0 (processes), got 1.5",
    "seed=-1": "expected a whole number of at least 0 and of at most 4294967295, got -1",
    "seed=1.5": "expected a whole number of at least 0 and of at most 4294967295, got 1.5",
    "seed=null": "got null",
    "training.validate_every=2.5": "expected a whole number of at least 1 (steps), got 2.5",
    "loss.ranking=x": "expected one of guided, hinge, infonce, got 'x'",
    "training=3": "expected settings (epochs, learning_rate,",
    "strategy=9": "expected one of ddp, ddp_cpu, single, got 9",
    "training.epochs=[1,2]": "got [1, 2]",
    "trainng.epochs=3": "did you mean training.epochs?",
    "+training.epocs=3": "did you mean training.epochs?",
    "hardest=false": "did you mean loss.ranking.hardest?",
    "backbone=camra": "expected one of camera, linear, linear_bert, vsrn, got 'camra'; did you mean camera?",
    "data=nosuch": "expected one of coco, f30k, f8k, precomputed, scenes, got 'nosuch'",
    "loss.captioning.weight=1": "it is of backbone=vsrn; expected one of loss.towers,",
    "backbone.heads=3": "expected a divisor of width=2048, got 3",
    "loss.ranking.temperature=1": "it is of loss.ranking=infonce or loss.ranking=guided; expected one of loss.rank",
    "seed=1,2": "several values are a sweep, which needs -m",
    "data=precomputed": "give data.root=DIR",
}


def answer(*arguments: str, program: str = "train") -> str:
    with pytest.raises(UserError) as caught:
        prepared(arguments, program)
    return str(caught.value)


def test_there_are_hundreds_of_them() -> None:
    assert len(WRONG) > 500
    assert len({wrong.key for wrong in WRONG}) > 100


def test_every_wrong_setting_is_one_line_that_names_it() -> None:
    right = {
        backbone: checked({"data": {"root": "x"}, "backbone": backbone}, TrainingRun) for backbone in ("camera", "vsrn")
    }
    for wrong in WRONG:
        values = copy.deepcopy(right[wrong.backbone])
        put(values, wrong)
        with pytest.raises(UserError) as caught:
            checked(values, TrainingRun)
        line = str(caught.value)
        assert line.startswith(f"{wrong.key}: "), (wrong, line)
        assert "\n" not in line
        assert (
            ("expected" in line and "got" in line)
            or "unknown setting; did you mean" in line
            or "expected one of" in line
        )


def put(values: dict[str, Any], wrong: Wrong) -> None:
    *groups, name = wrong.key.split(".")
    for group in groups:
        if not isinstance(values.get(group), dict):
            values[group] = {}
        values = values[group]
    values[name] = wrong.value


@pytest.mark.parametrize("wrong", WRONG[7::90], ids=lambda wrong: wrong.line)
def test_the_command_line_says_the_same(wrong: Wrong) -> None:
    assert answer(f"backbone={wrong.backbone}", "data=f30k", wrong.line).startswith(f"{wrong.key}: ")


@pytest.mark.parametrize(("line", "expected"), BY_HAND.items(), ids=list(BY_HAND))
def test_what_was_silent_or_a_traceback_is_one_line(line: str, expected: str) -> None:
    said = answer(*(() if line.startswith("data=") else ("data=f30k",)), line)
    assert expected in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("-m", "training.epochs=1,abc"), "training.epochs: expected a whole number"),
        (("-m", "backbone=camera,nosuch"), "backbone: expected one of"),
        (("-m", "backbone=camera,vsrn", "backbone.heads=4"), "backbone.heads: unknown setting here"),
        (("-m", "loss.ranking=hinge,nosuch"), "loss.ranking: expected one of"),
    ],
)
def test_a_sweep_is_refused_for_any_of_its_jobs(arguments: tuple[str, ...], expected: str) -> None:
    assert expected in answer(*arguments)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("protocol=foo", "protocol: expected one of full, coco_1k_5fold or null, got 'foo'"),
        ("strategy.devices=1.5", "strategy.devices"),
        ("split.name=1", "split: "),
        ("checkpoint=A", "did you mean checkpoints?"),
        ("trec=true", "trec: expected save_answers=K beside it"),
    ],
)
def test_evaluations_are_checked_alike(line: str, expected: str) -> None:
    assert expected in answer("checkpoints=A.ckpt", line, program="eval")


@pytest.mark.parametrize("line", ["training.epochs=abc", "backbone=camra", "trainng.epochs=3"])
def test_a_run_that_never_began_leaves_nothing_behind(line: str, tmp_path: Path) -> None:
    done = run("train.py", line, cwd=tmp_path)
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("error: ")
    assert list(tmp_path.iterdir()) == []
