"""A new figure is a function and a row: results.json, tables, leaderboard and comparison have it by themselves."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from selfalign.metrics.rank_metrics import RankMetric, rank_metrics, registered
from selfalign.reports import evaluation_table
from selfalign.reports.comparison.comparing import compare
from selfalign.reports.comparison.comparison_table import markdown, text
from selfalign.reports.comparison.latex_table import latex
from selfalign.reports.leaderboard.leaderboard_table import save_csv, table
from selfalign.reports.leaderboard.standings import rank
from selfalign.runs.jobs import read_jobs
from selfalign.runs.reading import read_runs
from selfalign.runs.results import result_series
from tests.runs.made_runs import ranked, sweep, write_run


def reciprocal(ranks: np.ndarray) -> np.ndarray:
    return 1 / ranks


@pytest.fixture(autouse=True)
def mrr() -> Iterator[RankMetric]:
    with registered(RankMetric("mrr", "MRR", reciprocal, 100.0)) as metric:
        yield metric


def test_results_and_loggers_have_it(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    record = json.loads((folder / "results.json").read_text())
    (run,) = read_runs([folder])
    for side in ("i2t", "t2i"):
        value = record["protocols"]["full"][side]["mrr"]
        ranks = getattr(ranked(1, 0.6).ranks, side).numpy()
        assert value == pytest.approx(100 * np.mean(1 / ranks))
        assert run.protocols["full"].figures[f"{side}_mrr"] == value
    assert result_series(record)["test/t2i_mrr"] == record["protocols"]["full"]["t2i"]["mrr"]


def test_every_table_shows_it(tmp_path: Path) -> None:
    result = ranked(1, 0.6)
    shown = evaluation_table.table([result], {"split": "test"})
    assert f"{result.i2t.mrr:.1f}" in shown
    assert "MRR" in shown
    comparison = compare(read_runs(sweep(tmp_path, gain=0.3)), draws=1000)
    figures = comparison.summaries[1].figures["t2i_mrr"]
    for listing in (text(comparison), markdown(comparison), latex(comparison)):
        assert listing.count("MRR") == 2
        assert f"{figures.mean:.1f}" in listing


def test_its_interval_is_that_of_the_same_draws_as_recalls(tmp_path: Path) -> None:
    """A figure that is R@1 under another name must get R@1's interval."""
    with registered(RankMetric("again", "R@1 again", lambda ranks: ranks <= 1, 100.0)):
        comparison = compare(read_runs(sweep(tmp_path)), draws=1000)
    for summary in comparison.summaries:
        for side in ("i2t", "t2i"):
            assert summary.intervals[f"{side}_again"] == pytest.approx(summary.intervals[f"{side}_r1"])
            low, high = summary.intervals[f"{side}_mrr"]
            assert low < summary.figures[f"{side}_mrr"].mean < high


def test_runs_from_before_it_compare_by_their_ranks(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    record = json.loads((folder / "results.json").read_text())
    for side in ("i2t", "t2i"):
        del record["protocols"]["full"][side]["mrr"]
    (folder / "results.json").write_text(json.dumps(record))
    (run,) = read_runs([folder])
    assert run.protocols["full"].figures["i2t_mrr"] > 0


def test_the_leaderboard_has_it(tmp_path: Path) -> None:
    for folder in sweep(tmp_path, seeds=2):
        record = json.loads((folder / "results.json").read_text())
        record |= {"selection": 50.0, "protocol": "full"}
        (folder / "results.json").write_text(json.dumps(record))
        (folder / ".hydra").mkdir()
        loss, seed = folder.name.split(",")
        (folder / ".hydra" / "overrides.yaml").write_text(f"- {loss}\n- {seed}\n")
    board = rank(read_jobs(tmp_path))
    assert table(board).count("MRR") == 2
    save_csv(board, tmp_path / "board.csv")
    with (tmp_path / "board.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {float(row["test_t2i_mrr_mean"]) > 0 for row in rows} == {True}


def test_a_median_has_a_figure_and_no_interval(tmp_path: Path) -> None:
    worst = RankMetric("worst", "worst rank", of_ranks=lambda ranks: float(ranks.max()), digits=0, higher=False)
    with registered(worst):
        comparison = compare(read_runs(sweep(tmp_path)), draws=1000)
        assert "worst rank" in text(comparison)
    assert "i2t_worst" in comparison.summaries[0].figures
    assert "i2t_worst" not in comparison.summaries[0].intervals


def test_the_table_of_figures_is_as_published() -> None:
    assert [metric.name for metric in rank_metrics()][:5] == ["r1", "r5", "r10", "median_rank", "mean_rank"]
    with pytest.raises(ValueError, match="either"):
        RankMetric("nothing", "nothing")
