"""W&B and TensorBoard as a user gets them: series, tables, pictures, and one run a job."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from selfalign.reports.curves import read_series
from tests.end_to_end.commands import TINY, run
from tests.starting import processes
from tests.starting.processes import ROOT
from tests.wandb_files import OfflineRun, read_offline_run

JOBS = {"good": "0.0003", "bad": "1e+30"}
PUBLISHED = ("recipe=published", "loss=selfalign")
SERIES = (
    *(f"train/{name}" for name in ("loss", "ranking", "concept", "context", "diversity")),
    *(f"train/similarity_{name}" for name in ("positive", "hardest_negative")),
    *("train/prototype_entropy", "train/pairs_per_second", "lr-Adam"),
    *("val/selection", "val/rsum", "val/alignment_accuracy"),
    *(f"val/{side}_r{depth}" for side in ("i2t", "t2i") for depth in (1, 5, 10)),
)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A multirun of two jobs in one process, of which the second breaks down in training."""
    folder = tmp_path_factory.mktemp("dashboards")
    settings = (*TINY, *PUBLISHED, "logger=[wandb,tensorboard]", f"training.learning_rate={','.join(JOBS.values())}")
    surroundings = {"WANDB_MODE": "offline", "HOME": str(folder / "home")}
    done = run("train.py", "-m", *settings, "hydra.sweep.dir=sweep", cwd=folder, **surroundings)
    assert "of 2 jobs 1 failed" in done.stderr, done.stderr[-3000:]
    return folder / "sweep"


def job(sweep: Path, name: str) -> Path:
    (path,) = sweep.glob(f"*learning_rate={JOBS[name]}*")
    return path


@pytest.fixture(scope="module")
def good(sweep: Path) -> OfflineRun:
    return read_offline_run(job(sweep, "good"))


def test_two_jobs_of_a_process_are_two_finished_runs(sweep: Path, good: OfflineRun) -> None:
    bad = read_offline_run(job(sweep, "bad"))
    assert (good.exit_code, bad.exit_code) == (0, 1)
    assert good.run.run_id != bad.run.run_id
    assert bad.series("lr-Adam")
    for name, logged in (("good", good), ("bad", bad)):
        folder = job(sweep, name)
        assert logged.run.run_id == (folder / "wandb_id.txt").read_text().strip()
        assert (logged.run.run_group, logged.run.display_name, logged.run.job_type) == ("sweep", folder.name, "train")
        assert list(logged.run.tags) == ["camera", "selfalign", "scenes"]
        assert logged.config["training"]["learning_rate"] == float(JOBS[name])
        assert "logger" not in logged.config


def test_wandb_has_every_series_of_the_csv_file(sweep: Path, good: OfflineRun) -> None:
    csv = read_series(job(sweep, "good") / "metrics.csv")
    assert set(SERIES) <= set(csv)
    for name, (_, values) in csv.items():
        assert good.series(name) == pytest.approx(values)
    assert len(good.series("val/rsum")) == 2
    assert good.series("test/rsum")


def test_wandb_has_the_tables_and_pictures(sweep: Path, good: OfflineRun) -> None:
    for name in ("caption_to_images", "image_to_captions"):
        tables = good.series(f"examples/{name}")
        assert [table["_type"] for table in tables] == ["table-file"] * 2
    files = next(job(sweep, "good").glob("wandb/offline-run-*/files"))
    for name in ("retrieval", "words"):
        pictures = good.series(f"examples/{name}")
        assert [picture["_type"] for picture in pictures] == ["image-file"] * 2
        assert all((files / picture["path"]).stat().st_size > 1000 for picture in pictures)
    assert len(good.artifacts) == 4
    for paths in good.artifacts:  # what offline runs send later waits in the run folder
        assert all(Path(path).is_relative_to(job(sweep, "good")) and Path(path).exists() for path in paths)


def test_tensorboard_has_the_series_and_the_pictures(sweep: Path) -> None:
    events = EventAccumulator(str(job(sweep, "good") / "tensorboard"))
    events.Reload()
    assert {*SERIES, "test/rsum"} <= set(events.Tags()["scalars"])
    assert set(events.Tags()["images"]) == {"examples/retrieval", "examples/words"}
    values = read_series(job(sweep, "good") / "metrics.csv")["val/rsum"][1]
    assert [event.value for event in events.Scalars("val/rsum")] == pytest.approx(values)


def test_pictures_of_the_last_validation_lie_in_the_run_folder(sweep: Path) -> None:
    assert {path.name for path in (job(sweep, "good") / "pictures").iterdir()} == {"retrieval.png", "words.png"}


def test_a_missing_tensorboard_is_one_line(tmp_path: Path) -> None:
    program = f"""
import runpy, sys
sys.modules["tensorboard"] = None
sys.argv = ["train.py", "logger=tensorboard"]
runpy.run_path({str(ROOT / "train.py")!r}, run_name="__main__")
"""
    (tmp_path / "without.py").write_text(program)
    done = processes.run("without.py", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: logger=tensorboard: the package is missing; pip install -e '.[tensorboard]' brings it"
    ]
