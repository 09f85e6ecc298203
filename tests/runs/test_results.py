"""What is made of results goes with them."""

from __future__ import annotations

from pathlib import Path

from selfalign.runs.results import JUDGEMENT, RESULTS, save_results


def test_a_judgement_of_earlier_results_does_not_stay_beside_new_ones(tmp_path: Path) -> None:
    (tmp_path / JUDGEMENT).write_text("{}")
    save_results({}, tmp_path / RESULTS)
    assert [path.name for path in tmp_path.iterdir()] == [RESULTS]
