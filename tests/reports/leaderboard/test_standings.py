"""The leaderboard: one row a setting, figures over seeds, ranked by validation, and nothing compared that does not."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from selfalign.reports.leaderboard.leaderboard_table import save_csv, short_key, short_value, table
from selfalign.reports.leaderboard.standings import Leaderboard, rank
from selfalign.runs.jobs import SweepJob
from tests.runs.made_jobs import DATA, NOWHERE, done, failed, weighted

WEIGHT = "loss.concept.weight"


def order(board: Leaderboard, key: str = WEIGHT) -> list[str]:
    return [setting.values[key] for setting in board.rows]


def best(board: Leaderboard, key: str = WEIGHT) -> set[str]:
    return {board.rows[place].values[key] for place in board.best}


def test_mean_and_deviation_are_numpy_s() -> None:
    figures = list(np.random.default_rng(0).uniform(100, 300, 5))
    (setting,) = rank(weighted({"1": figures})).rows
    assert setting.selection is not None
    assert setting.selection.mean == pytest.approx(np.mean(figures), rel=1e-14)
    assert setting.selection.deviation == pytest.approx(np.std(figures, ddof=1), rel=1e-14)
    assert setting.selection.count == 5


def test_one_seed_has_no_deviation() -> None:
    (setting,) = rank(weighted({"1": [10.0]})).rows
    assert str(setting.selection) == "10.0 ± –"


def test_the_validation_figure_ranks_not_the_test_split() -> None:
    figures = {"0.5": (110.0, 100.0), "1": (120.0, 90.0), "2": (100.0, 400.0)}
    jobs = [done({WEIGHT: weight}, val, rsum=test) for weight, (val, test) in figures.items()]
    board = rank(jobs)
    assert order(board) == ["1", "0.5", "2"]
    assert best(board) == {"1"}


def test_equal_settings_are_both_best() -> None:
    assert best(rank(weighted({"0.5": [10.0, 12.0], "1": [12.0, 10.0], "2": [11.0, 10.0]}))) == {"0.5", "1"}


def test_one_lucky_seed_does_not_beat_the_mean_of_three() -> None:
    board = rank(weighted({"0.5": [10.0, 11.0, 12.0], "1": [15.0]}))
    assert order(board) == ["1", "0.5"]
    assert best(board) == {"0.5"}
    assert "* is among the settings with the most seeds done (3)" in table(board)


def test_a_setting_without_a_figure_is_a_last_row_that_says_why() -> None:
    reason = "loss.concept.weight: expected a finite number"
    jobs = [failed({WEIGHT: "-1", "seed": seed}, reason) for seed in ("1", "2")]
    jobs += [SweepJob(NOWHERE / "later", {WEIGHT: "9", "seed": "1"}), *weighted({"1": [0.0, 0.0]})]
    board = rank(jobs)
    assert order(board) == ["1", "-1", "9"]
    assert board.best == {0}
    lines = table(board).splitlines()
    assert lines[-2].split("  ")[-1] == f"2 failed: {reason}"
    assert lines[-1].endswith("1 not run")
    assert "leaderboard: 3 settings, 2 of 5 jobs done" in lines


def test_a_failed_seed_is_told_beside_the_figures_of_the_others() -> None:
    board = rank([*weighted({"1": [10.0, 12.0]}), failed({WEIGHT: "1", "seed": "3"}, "out of memory")])
    (setting,) = board.rows
    assert (setting.done, len(setting.jobs), setting.trouble) == (2, 3, "1 failed: out of memory")
    assert table(board).splitlines()[-1].endswith("1 failed: out of memory")


@pytest.mark.parametrize("jobs", [("typed", "not"), ("not", "typed")])
def test_the_default_seed_counts_once_typed_or_not(jobs: tuple[str, str]) -> None:
    made = {"typed": done({WEIGHT: "1", "seed": "1024"}, 10.0), "not": done({WEIGHT: "1"}, 10.0)}
    (setting,) = rank([made[name] for name in jobs]).rows
    assert (setting.done, setting.selection.count if setting.selection else 0) == (1, 1)
    other = rank([made["not"], done({WEIGHT: "1", "seed": "7"}, 12.0)])  # the negative control
    assert other.rows[0].done == 2


def test_results_of_edited_defaults_are_rows_of_their_own() -> None:
    jobs = [done({WEIGHT: "1", "seed": "1"}, 10.0), done({WEIGHT: "1", "seed": "2"}, 20.0, training={"epochs": 9})]
    board = rank(jobs)
    assert [setting.values for setting in board.rows] == [{"training.epochs": "9"}, {"training.epochs": "3"}]
    assert all(setting.done == 1 for setting in board.rows)


def test_edited_defaults_are_a_column_even_where_no_setting_was_run_twice() -> None:
    """An interrupted sweep whose defaults were edited before it went on: the rows must not seem to compare."""
    board = rank([done({WEIGHT: "1"}, 10.0), done({WEIGHT: "2"}, 20.0, training={"epochs": 9})])
    assert board.keys == (WEIGHT, "training.epochs")
    assert [tuple(setting.values.values()) for setting in board.rows] == [("2", "9"), ("1", "3")]
    assert "training.epochs" in table(board)


def test_what_a_typed_setting_brings_is_no_edited_default() -> None:
    """A file that was chosen may set anything; a typed value is a column already."""
    jobs = [
        done({"loss": "concept"}, 1.0, loss={"concept": {"weight": 1.0}}, training={"epochs": 3}),
        done({"loss": "context"}, 2.0, loss={"concept": {"weight": 0.0}}, training={"epochs": 4}),
        done(
            {"loss": "context", "training.epochs": "5"}, 3.0, loss={"concept": {"weight": 0.0}}, training={"epochs": 5}
        ),
    ]
    assert rank(jobs).keys == ("loss", "training.epochs")
    assert rank(jobs[:2]).keys == ("loss",)


def test_figures_of_different_data_do_not_compete() -> None:
    coco = DATA | {"root": "data/coco"}
    jobs = [done({"data": "f30k"}, 100.0), done({"data": "coco"}, 200.0, data=coco)]
    board = rank(jobs)
    assert best(board, "data") == {"f30k", "coco"}
    assert "validated on different data" in table(board)


def test_results_of_two_versions_of_the_code_are_told() -> None:
    jobs = weighted({"1": [1.0], "2": [2.0]})
    assert "versions of the code" not in table(rank(jobs))
    assert jobs[0].results is not None
    jobs[0].results["git_commit"] = "def+"
    assert "the results are of 2 versions of the code: abc, def+" in table(rank(jobs))


def test_the_csv_holds_every_row_unrounded(tmp_path: Path) -> None:
    figures = [1 / 3, 2 / 3, 5 / 3]
    board = rank([*weighted({"0.5": figures}), failed({WEIGHT: "2", "seed": "1"}, "a, b")])
    save_csv(board, tmp_path / "leaderboard.csv")
    with (tmp_path / "leaderboard.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert float(first["val_selection_mean"]) == pytest.approx(np.mean(figures), rel=1e-14)
    assert float(first["val_selection_std"]) == pytest.approx(np.std(figures, ddof=1), rel=1e-14)
    assert float(first["test_rsum_mean"]) == 300.0
    assert float(first["test_alignment_accuracy_mean"]) == 12.5
    assert (first["best"], first[WEIGHT], first["seeds_done"], first["state"]) == ("yes", "0.5", "3", "done")
    assert (second["best"], second["seeds_done"], second["state"]) == ("", "0", "1 failed: a, b")
    assert second["val_selection_mean"] == second["test_rsum_std"] == ""


def test_keys_are_shortened_as_far_as_they_differ() -> None:
    keys = ("loss.concept.weight", "loss.context.weight", "seed", "backbone.weight")
    assert [short_key(key, keys) for key in keys] == ["concept.weight", "context.weight", "seed", "backbone.weight"]
    assert short_key("a.b.c", ("a.b.c", "d.b.c")) == "a.b.c"


@pytest.mark.parametrize(
    ("value", "short"), [("0.8003345905", "0.8003"), ("0.5", "0.5"), ("1e-4", "1e-4"), ("runs/a.b/c", "runs/a.b/c")]
)
def test_values_are_shortened_only_where_they_are_long_numbers(value: str, short: str) -> None:
    assert short_value(value) == short
