"""``curves.png`` says what it draws, and draws nothing that is not there."""

from __future__ import annotations

from pathlib import Path

from selfalign.reports.curves import panels, read_series, save_curves

RECALLS = ",".join(f"val/{side}_r{depth}" for side in ("i2t", "t2i") for depth in (1, 5, 10))


def metrics(folder: Path, *lines: str) -> Path:
    path = folder / "metrics.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_each_loss_has_an_axis_of_its_own_and_the_total_is_called_so(tmp_path: Path) -> None:
    header = f"step,train/loss,train/ranking,train/diversity,train/similarity_positive,lr-Adam,{RECALLS}"
    path = metrics(tmp_path, header, "9,51,50,0.01,0.5,0.001,,,,,,", "19,41,40,0.02,0.5,0.0001,1,2,3,4,5,6")
    titles = [panel.title for panel in panels(read_series(path))]
    assert titles == [
        "validation",
        "total: sum of weight × loss",
        "ranking, before its weight",
        "diversity, before its weight",
        "learning rate",
    ]
    assert all(len(panel.lines) == 1 for panel in panels(read_series(path))[1:])
    save_curves(path, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_short_run_has_no_empty_panel(tmp_path: Path) -> None:
    path = metrics(tmp_path, f"step,train/loss,{RECALLS}", "3,,1,2,3,4,5,6")
    (panel,) = panels(read_series(path))
    assert panel.title == "validation"
    assert set(panel.lines) == {f"{side} R@{depth}" for side in ("i2t", "t2i") for depth in (1, 5, 10)}


def test_without_figures_nothing_is_drawn(tmp_path: Path) -> None:
    save_curves(metrics(tmp_path, "step,train/loss"), tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()
