"""A sweep's folder: names that settings decide, what became of each job, and that nothing is done twice or lost."""

from __future__ import annotations

import fcntl
import json
from itertools import permutations
from pathlib import Path

import pytest
import yaml

from selfalign.errors import UserError
from selfalign.runs.jobs import by_key, folder_name, perform_once, read_jobs, sweep_name
from tests.runs.made_jobs import record

LONG = [f"backbone.bert.scratch.setting_{number}={number}" for number in range(9)]


@pytest.mark.parametrize("settings", [["seed=1", "loss.concept.weight=0.5", "+a.b=[1,2]"], LONG[:4]])
def test_a_folder_s_name_does_not_depend_on_the_order_of_settings(settings: list[str]) -> None:
    assert len({folder_name(order) for order in permutations(settings)}) == 1


@pytest.mark.parametrize(
    "settings",
    [[], ["seed=1"], ["data.root=/a b/c"], ["data.root=../x"], [".=1"], ["x=é"], LONG, ["data.root=" + "x" * 300]],
)
def test_every_name_is_a_short_plain_name_of_a_folder(settings: list[str], tmp_path: Path) -> None:
    name = folder_name(settings)
    assert 0 < len(name) <= 120
    assert name[0] != "."
    assert set(name).isdisjoint("/ \\'\"[]{}*?")
    (tmp_path / name).mkdir()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["seed=1"], ["seed=2"]),
        (["data.root=/a b"], ["data.root=/a_b"]),
        (["x='a,y=b'"], ["x=a", "y=b"]),
        (LONG, [*LONG[:-1], "backbone.bert.scratch.setting_8=9"]),
        (["data.root=" + "x" * 300], ["data.root=" + "x" * 301]),
    ],
)
def test_other_settings_have_another_folder(one: list[str], other: list[str]) -> None:
    assert folder_name(one) != folder_name(other)


def test_a_name_that_is_too_long_keeps_whole_settings() -> None:
    kept, _, digest = folder_name(LONG).partition("~")
    assert len(digest) == 8
    assert set(kept.split(",")) < {setting.removeprefix("backbone.bert.") for setting in LONG}


def test_a_sweep_is_named_by_its_keys_and_told_apart_by_its_other_settings() -> None:
    assert sweep_name(["seed", "loss"], []) == sweep_name(["loss", "seed"], []) == "loss,seed"
    assert sweep_name(["seed"], ["backbone=vsrn"]) != sweep_name(["seed"], ["backbone=camera"])
    assert sweep_name(["seed"], ["a=1", "b=2"]) == sweep_name(["seed"], ["b=2", "a=1"])


def test_settings_are_read_by_key() -> None:
    assert by_key(["+a.b=x=y", "seed=1", "++c={d:1}"]) == {"a.b": "x=y", "seed": "1", "c": "{d:1}"}


def write_job(folder: Path, settings: list[str], **files: str) -> None:
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(settings))
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)


def test_the_state_of_every_job_is_read_from_its_folder(tmp_path: Path) -> None:
    write_job(tmp_path / "a", ["x=1"], results__json=json.dumps(record(1.5)), config__yaml="seed: 7\n")
    write_job(tmp_path / "b", ["x=2"], failure__txt="no such file\nTraceback ...", config__yaml="seed: 7\n")
    write_job(tmp_path / "c", ["x=3"], config__yaml="seed: 7\n")
    write_job(tmp_path / "d", ["x=4"], results__json='{"selection": 1', config__yaml="seed: 7\n")
    write_job(tmp_path / "e", ["x=5"], results__json='{"rsum": 1.0}')
    write_job(tmp_path / folder_name(["x=6"]), ["x=6"], failure__txt="")
    jobs = read_jobs(tmp_path, [["x=6"], ["x=7", "seed=3"]])
    states = {job.overrides["x"]: job.state for job in jobs}
    assert states == {
        "1": "done",
        "2": "failed",
        "3": "unfinished",
        "4": "failed",
        "5": "failed",
        "6": "failed",
        "7": "not run",
    }
    assert [job.seed for job in jobs] == [7, 7, 7, 7, None, None, "3"]
    assert jobs[1].failure == "no such file"
    assert (jobs[3].failure or "").startswith("results results.json: damaged, not JSON")


@pytest.mark.parametrize("figure", ["NaN", "Infinity", "-1", '"7"', "null", "true", "9" * 4000, "401"])
def test_a_figure_that_is_none_is_no_result(tmp_path: Path, figure: str) -> None:
    text = json.dumps(record(1.5)).replace('"selection": 1.5', f'"selection": {figure}')
    write_job(tmp_path / "a", ["x=1"], results__json=text)
    (job,) = read_jobs(tmp_path)
    assert (job.state, job.results) == ("failed", None)
    assert "damaged" in (job.failure or "")


def test_labels_are_those_of_the_run_s_own_record(tmp_path: Path) -> None:
    """What was typed later, in a command that was refused, does not count."""
    towers = {"towers": "selfalign", "concept": {"weight": 1.0}, "context": {"weight": 1.0}}
    config = {"seed": 7, "backbone": {"name": "camera"}, "loss": towers, "training": {"learning_rate": 1e-4}}
    typed = ["loss=baseline", "backbone=vsrn", "seed=8", "training.learning_rate=1e-4", "experiment=x"]
    write_job(tmp_path / "a", typed, config__yaml=yaml.safe_dump(config))
    assert read_jobs(tmp_path)[0].overrides == {
        "loss": "selfalign",
        "backbone": "camera",
        "seed": "7",
        "training.learning_rate": "1e-4",
        "experiment": "x",
    }


def test_a_loss_that_was_renamed_by_its_weights_keeps_the_name_that_was_typed(tmp_path: Path) -> None:
    towers = {"towers": "selfalign", "concept": {"weight": 0.0}, "context": {"weight": 1.0}}
    write_job(
        tmp_path / "a", ["loss=selfalign", "loss.concept.weight=0"], config__yaml=yaml.safe_dump({"loss": towers})
    )
    assert read_jobs(tmp_path)[0].overrides == {"loss": "selfalign", "loss.concept.weight": "0"}


class Work:
    """What a job does; it counts how often."""

    def __init__(self, folder: Path, config: str = "a: 1\n", figure: float = 1.5) -> None:
        self.folder, self.config, self.figure, self.times = folder, config, figure, 0
        self.error: BaseException | None = None
        (folder / ".hydra").mkdir(parents=True, exist_ok=True)
        (folder / ".hydra" / "overrides.yaml").write_text("[]\n")

    def perform(self) -> None:
        self.times += 1
        (self.folder / "config.yaml").write_text(self.config)
        if self.error is not None:
            raise self.error
        (self.folder / "results.json").write_text(json.dumps(record(self.figure)))

    def once(self, *, writes: bool = True) -> float | None:
        return perform_once(self.folder, lambda: self.config, self.perform, writes=writes)


def set_aside(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder.parent / "set_aside").glob("*/*"))


def test_a_job_is_done_once(tmp_path: Path) -> None:
    work = Work(tmp_path / "job")
    assert (work.once(), work.once()) == (1.5, 1.5)
    assert work.times == 1
    assert set_aside(work.folder) == []


def test_other_settings_are_never_answered_with_old_results(tmp_path: Path) -> None:
    old, new = Work(tmp_path / "job"), Work(tmp_path / "job", "a: 2\n", 2.5)
    assert (old.once(), new.once(), new.once()) == (1.5, 2.5, 2.5)
    assert new.times == 1
    assert set_aside(new.folder) == [".hydra", "config.yaml", "results.json"]
    (kept,) = (tmp_path / "set_aside").glob("*/results.json")
    assert json.loads(kept.read_text())["selection"] == 1.5


@pytest.mark.parametrize("damage", ["results.json", "config.yaml"])
def test_a_job_without_its_results_or_its_configuration_is_run_again(tmp_path: Path, damage: str) -> None:
    work = Work(tmp_path / "job")
    work.once()
    (work.folder / damage).unlink()
    assert work.once() == 1.5
    assert work.times == 2


def test_a_failure_is_one_line_and_its_repetition_takes_it_away(tmp_path: Path) -> None:
    work = Work(tmp_path / "job")
    work.error = UserError("data folder x:\n  no such folder")
    assert work.once() is None
    assert (work.folder / "failure.txt").read_text() == "data folder x: no such folder\n"
    work.error = None
    assert work.once() == 1.5
    assert not (work.folder / "failure.txt").exists()
    assert set_aside(work.folder) == [".hydra", "config.yaml", "failure.txt"]


def test_a_bug_leaves_its_trace(tmp_path: Path) -> None:
    work = Work(tmp_path / "job")
    work.error = ZeroDivisionError("by zero")
    assert work.once() is None
    first, second, *_ = (work.folder / "failure.txt").read_text().splitlines()
    assert (first, second) == ("ZeroDivisionError: by zero", "Traceback (most recent call last):")


def test_an_error_of_the_cleaning_up_does_not_hide_what_it_began_with(tmp_path: Path) -> None:
    work = Work(tmp_path / "job")
    work.error = RuntimeError("no iterator")
    work.error.__context__ = AttributeError("no 'env'")
    assert work.once() is None
    first, *_ = (work.folder / "failure.txt").read_text().splitlines()
    assert first == "RuntimeError: no iterator (after AttributeError: no 'env')"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_an_interruption_is_no_failure_and_ends_the_sweep(tmp_path: Path, error: BaseException) -> None:
    work = Work(tmp_path / "job")
    work.error = error
    with pytest.raises(type(error)):
        work.once()
    assert not (work.folder / "failure.txt").exists()


def test_a_job_that_another_process_is_at_is_left_to_it(tmp_path: Path) -> None:
    work = Work(tmp_path / "job")
    (work.folder / "metrics.csv").write_text("x")
    with (work.folder / ".job.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert work.once() is None
    assert (work.times, set_aside(work.folder)) == (0, [])
    assert not (work.folder / "failure.txt").exists()
    assert work.once() == 1.5


def test_only_the_process_that_writes_moves_files(tmp_path: Path) -> None:
    work = Work(tmp_path / "job")
    (work.folder / "metrics.csv").write_text("x")
    work.once(writes=False)
    assert set_aside(work.folder) == []
    assert (work.folder / "metrics.csv").exists()
