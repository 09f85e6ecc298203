"""The picture of a leaderboard: which kind is drawn, and that it shows the figures in their places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from selfalign.reports.leaderboard import leaderboard_chart as chart
from selfalign.reports.leaderboard.standings import rank
from selfalign.runs.jobs import SweepJob
from tests.runs.made_jobs import DATA, done, failed, weighted

CONCEPT, CONTEXT = "loss.concept.weight", "loss.context.weight"


def grid(rows: tuple[str, ...], columns: tuple[str, ...]) -> list[SweepJob]:
    """Figures 10 · row + column, three seeds each."""
    return [
        done({CONCEPT: row, CONTEXT: column, "seed": str(seed)}, 10.0 * y + x + 0.1 * seed)
        for y, row in enumerate(rows)
        for x, column in enumerate(columns)
        for seed in (1, 2, 3)
    ]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every figure that was saved."""
    saved: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *args: object, **others: object) -> None:
        saved.append(figure)
        save(figure, *args, **others)

    monkeypatch.setattr(Figure, "savefig", keep)
    return saved


def words(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(lambda part: hasattr(part, "get_text")))


CASES = {
    "two swept keys": (grid(("0.5", "1", "2"), ("0.5", "1", "2")), "_heat_map"),
    "two keys, words": ([done({"loss": x, "backbone": y}, 1.0) for x in "ab" for y in "cd"], "_heat_map"),
    "one number": (weighted({"1e-4": [1.0, 2.0], "1e-3": [2.0, 3.0]}), "_lines"),
    "one word": ([done({"loss": name}, 1.0) for name in ("concept", "context")], "_points"),
    "seeds only": ([done({"seed": seed}, 1.0) for seed in "12"], "_points"),
    "drawn by a search": ([done({CONCEPT: str(0.1 * i), CONTEXT: str(0.2 * i)}, 1.0) for i in range(5)], "_points"),
    "three keys": ([done({"a.x": x, "b.y": y, "c.z": z}, 1.0) for x in "12" for y in "12" for z in "12"], "_points"),
    "two data sets": (
        [done({"data": d, CONCEPT: w}, 1.0, data=DATA | {"root": d}) for d in "ab" for w in "12"],
        "_points",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_was_swept_decides_the_kind(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, expected = CASES[case]
    drawn: list[str] = []
    for kind in ("_heat_map", "_lines", "_points"):
        draw = getattr(chart, kind)
        monkeypatch.setattr(chart, kind, lambda *args, kind=kind, draw=draw: (drawn.append(kind), draw(*args)))
    chart.save_leaderboard_chart(rank(jobs), tmp_path / "chart.png")
    assert drawn == [expected]
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "chart.png").stat().st_size > 5000


def test_nothing_is_drawn_where_nothing_is_done(tmp_path: Path) -> None:
    chart.save_leaderboard_chart(rank([failed({CONCEPT: "1"}, "reason")]), tmp_path / "chart.png")
    assert not (tmp_path / "chart.png").exists()


def test_the_cells_of_a_heat_map_are_the_means_in_the_order_of_the_values(
    figures: list[Figure], tmp_path: Path
) -> None:
    jobs = grid(("1", "2", "10"), ("0.5", "1"))
    jobs = [*jobs[3:], failed({CONCEPT: "1", CONTEXT: "0.5", "seed": "1"}, "reason")]
    chart.save_leaderboard_chart(rank(jobs), tmp_path / "chart.png")
    axes = figures[0].axes[0]
    expected = np.array([[np.nan, 1.2], [10.2, 11.2], [20.2, 21.2]])
    np.testing.assert_allclose(np.asarray(axes.images[0].get_array().filled(np.nan)), expected)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1", "2", "10"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.5", "1"]
    assert (axes.get_ylabel(), axes.get_xlabel()) == (CONCEPT, CONTEXT)
    text = words(figures[0])
    assert "failed" in text
    assert "★ 21.2\n± 0.1" in text
    assert text.count("★ 2") == 1


def test_lines_show_the_means_over_the_values_and_name_what_failed(figures: list[Figure], tmp_path: Path) -> None:
    jobs = [*weighted({"2": [3.0, 5.0], "0.5": [1.0, 2.0], "1": [6.0, 8.0]}), failed({CONCEPT: "-1"}, "reason")]
    chart.save_leaderboard_chart(rank(jobs), tmp_path / "chart.png")
    axes = figures[0].axes[0]
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[0.5, 1.5], [1, 7], [2, 4]])
    assert "without a figure: -1 (failed)" in axes.get_xlabel()
    assert "standard deviation over 2 seeds" in words(figures[0])


def test_a_difference_within_the_spread_over_seeds_is_no_difference_of_colour(
    figures: list[Figure], tmp_path: Path
) -> None:
    spread = {"1": 10.0, "2": -10.0, "3": 0.0}
    jobs = [
        done({CONCEPT: row, CONTEXT: column, "seed": seed}, 100.0 + 0.01 * y + off)
        for y, row in enumerate("12")
        for column in "12"
        for seed, off in spread.items()
    ]
    chart.save_leaderboard_chart(rank(jobs), tmp_path / "chart.png")
    low, high = figures[0].axes[0].images[0].get_clim()
    assert high - low == pytest.approx(20.0)
