"""What is left of the whole training, in lines and in the bar."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from selfalign.engine.callbacks.progress import Progress
from selfalign.engine.callbacks.time_left import TimeLeft, duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min"), (3599, "59 min"), (3661, "1 h 01 min"), (200_000, "2 d 7 h")],
)
def test_durations_are_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_the_time_left_is_that_of_all_epochs_and_of_a_run_that_goes_on() -> None:
    now = [100.0]
    left = TimeLeft(lambda: now[0])
    trainer = SimpleNamespace(global_step=200, estimated_stepping_batches=1000)
    assert left.words(trainer) == ""
    left.start(trainer)  # it goes on after step 200
    assert left.words(trainer) == ""
    now[0], trainer.global_step = 400.0, 300  # 3 s a step
    assert left.words(trainer) == "35 min left"
    trainer.estimated_stepping_batches = float("inf")
    assert left.words(trainer) == ""


def test_the_bar_counts_epochs_as_the_lines_do() -> None:
    bar = Progress()
    bar._trainer = SimpleNamespace(max_epochs=3)
    assert bar._get_train_description(0) == "epoch 1 of 3"
