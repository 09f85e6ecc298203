"""Settings that are compared have short names, behind which nothing that differs hides."""

from __future__ import annotations

from pathlib import Path

from selfalign.reports.comparison.comparing import compare
from selfalign.reports.comparison.comparison_table import text
from selfalign.runs.reading import read_runs
from tests.runs.made_runs import write_run


def test_of_recipes_that_differ_in_much_a_name_says_how_much(tmp_path: Path) -> None:
    """And still tells settings of one short name apart; the rest stands with the comparison."""
    other = [f"training.{key}" for key in ("epochs=9", "learning_rate=1", "clip_norm=1", "decay_every=3")]
    runs = [
        write_run(tmp_path / "a", "loss=baseline", seed=1),
        write_run(tmp_path / "b", "loss=selfalign", *other, "data.batch_size=7", seed=1, signal=0.7),
        write_run(tmp_path / "c", "loss=selfalign", *other, "data.batch_size=9", seed=1, signal=0.7),
    ]
    found = compare(read_runs(runs), draws=1000)
    assert [summary.setting.name for summary in found.summaries] == [
        "camera baseline (+5 settings)",
        "camera selfalign data.batch_size=7 (+4 settings)",
        "camera selfalign data.batch_size=9 (+4 settings)",
    ]
    assert "training.learning_rate" in " ".join(found.differences[0].differs)


def test_what_else_differs_is_never_hidden_behind_a_short_name(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / "a", "loss=baseline", seed=1),
        write_run(tmp_path / "b", "loss=selfalign", "training.epochs=9", seed=1, signal=0.7),
        write_run(tmp_path / "c", "loss=selfalign", "loss.concept.weight=0.5", seed=1, signal=0.8),
        write_run(tmp_path / "d", "loss=baseline", "loss.towers=selfalign", seed=1, signal=0.7),
        write_run(tmp_path / "e", "backbone=vsrn", "loss=selfalign", seed=1, signal=0.5),
    ]
    found = compare(read_runs(runs), draws=1000, against="camera baseline training.epochs=3")
    names = [summary.setting.name for summary in found.summaries]
    assert names == [
        "camera baseline training.epochs=3",
        "camera selfalign training.epochs=9",
        "camera selfalign concept.weight=0.5 training.epochs=3",
        "camera baseline towers=selfalign training.epochs=3",
        "vsrn selfalign",
    ]
    assert "training.epochs: 3 → 9" in found.differences[0].differs
    assert not any(line.startswith("backbone.bert") for line in found.differences[-1].differs)
    shown = text(found)
    assert "by Holm for 4 comparisons" in shown
    assert "another seed may give another sign" in shown
    assert "each setting has 1 seed" in shown
    assert shown.count(" over images only, p ") == 4


def test_settings_of_a_choice_that_others_have_not_made_are_told_only_where_they_differ(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / "a", "loss=infonce", seed=1),
        write_run(tmp_path / "b", "loss=guided", seed=1, signal=0.7),
        write_run(tmp_path / "c", "loss=guided", "loss.ranking.margin=0.4", seed=1, signal=0.8),
    ]
    assert [summary.setting.name for summary in compare(read_runs(runs[:2]), draws=1000).summaries] == [
        "camera infonce",
        "camera guided",
    ]
    assert [summary.setting.name for summary in compare(read_runs(runs), draws=1000).summaries] == [
        "camera infonce",
        "camera guided ranking.margin=0.2",
        "camera guided ranking.margin=0.4",
    ]
