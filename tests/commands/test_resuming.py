"""A run that is to go on: all is looked at first, and what is refused leaves the folder as it was."""

from __future__ import annotations

import hashlib
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from selfalign.commands import hydra_app
from selfalign.commands.composing import composed
from selfalign.errors import UserError
from selfalign.runs.folder import begin, locked, require_fresh, require_writable
from selfalign.runs.results import is_finished, read_results
from tests.runs.made_jobs import record

TYPED = ["backbone=vsrn", "scheduler=step", "seed=3", "training.epochs=2", "data.root=somewhere"]
EDITS = [  # (what stands there, what is put instead); None: the whole file
    (None, ""),
    (None, "[]"),
    (None, "null"),
    (None, "a: [1"),
    (None, "\x00\x01"),
    (None, "{" * 3000),
    (None, "!!python/object/apply:os.system [touch hacked]"),
    ("seed: 3", "seed: !!python/name:os.system"),
    ("seed: 3", "seed: &s 3\nother: *s"),
    ("seed: 3", "seed: *nowhere"),
    ("seed: 3", "seed: 3\nseed2: 4"),
    ("seed: 3", "seed: three"),
    ("seed: 3", "seed: 4"),
    ("seed: 3", "seed: true"),
    ("seed: 3", "seed:\n- 3"),
    ("seed: 3\n", ""),
    ("  epochs: 2", "  epochs: two"),
    ("  epochs: 2", "  epochs: -1"),
    ("  epochs: 2", "  epochs: 0"),
    ("  epochs: 2", "  epochs: 2.5"),
    ("  epochs: 2", "  epochs: .nan"),
    ("  epochs: 2", "  epochs: null"),
    ("  epochs: 2", "  epochs: " + "9" * 4000),
    ("  workers: 0", "  workers: many"),
    ("  workers: 0", "  workers: -2"),
    ("  root: somewhere", "  root:\n  - a\n  - b"),
    ("  root: somewhere", "  root: 2020-01-01"),
    ("  name: vsrn", "  name: camera"),
    ("  name: vsrn", "  nome: vsrn"),
    ("training:", "trainings:"),
    ("backbone:", "backbone: vsrn\nx:"),
    ("padding: masked", "padding: paper"),
    ("  learning_rate:", "  learning_rate: 2e-3 #"),
    ("  clip_norm:", "  clip_norm: yes #"),
    ("logger: {}", "logger: wandb"),
    ("logger: {}", "logger:\n  x: 3"),
]


def digest(folder: Path) -> str:
    content = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != ".lock":
            content.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return content.hexdigest()


@cache
def typed_config() -> dict[str, Any]:
    return composed(TYPED)


@pytest.fixture(params=["with a checkpoint", "before the first checkpoint"])
def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run of two epochs, or one that was killed at its beginning; going on with it is not done here."""
    config = typed_config()
    folder = tmp_path / "run"
    (folder / ".hydra").mkdir(parents=True)
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(config)))
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(TYPED))
    hydra = {"overrides": {"task": TYPED}, "mode": "RUN", "runtime": {"choices": {}}, "sweep": {"dir": "x"}}
    (folder / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump({"hydra": hydra}))
    if request.param == "with a checkpoint":
        (folder / "results.json").write_text(json.dumps(record(100.0)))
        (folder / "checkpoints").mkdir()
        trained = {key: value for key, value in config.items() if key != "logger"}
        provenance = {"config": trained, "region_width": 3, "tokenizer": {}, "bert": None, "format": 1}
        content = {"state_dict": {"w": torch.ones(3)}, "selfalign": provenance, "global_step": 3}
        torch.save(content, folder / "checkpoints" / "last.ckpt")
    monkeypatch.setattr(hydra_app, "_run", lambda job: pytest.fail("it began"))
    return folder


def resume(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    hydra_app.resume()


@pytest.mark.parametrize(("old", "new"), EDITS)
def test_an_edited_configuration_is_one_line_and_changes_nothing(
    run: Path, monkeypatch: pytest.MonkeyPatch, old: str | None, new: str
) -> None:
    path = run / "config.yaml"
    text = path.read_text()
    if old is not None:
        assert old in text
    path.write_text(new if old is None else text.replace(old, new, 1))
    before = digest(run)
    with pytest.raises(UserError) as caught:
        resume(monkeypatch, f"resume={run}", "training.epochs=3")
    assert len(str(caught.value)) < 600
    assert "\n" not in str(caught.value)
    assert digest(run) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [("seed: 3", "seed: 3.0"), ("  epochs: 2", "  epochs: '2'"), ("  resident: false", "  resident: 'no'")],
)
def test_the_same_value_in_another_spelling_is_the_same_run(
    run: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    begun: list[object] = []
    monkeypatch.setattr(hydra_app, "_run", begun.append)
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace(old, new, 1))
    resume(monkeypatch, f"resume={run}", "training.epochs=3")
    assert len(begun) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("strategy=ddp", "strategy.devices=nine"),
        ("training.epochs=abc",),
        ("training.epochs=0",),
        ("data.workers=-1",),
        ("data.root=[a,b]",),
        ("strategy.devices=3", "seed=4"),
        ("+logger.x.a=1",),
    ],
)
def test_wrong_arguments_change_nothing(run: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    before = digest(run)
    monkeypatch.undo()  # the real start, which ends before anything is built
    with pytest.raises(UserError):
        resume(monkeypatch, f"resume={run}", "training.epochs=3", *arguments)
    assert digest(run) == before


def test_an_unchanged_configuration_begins(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[object] = []
    monkeypatch.setattr(hydra_app, "_run", begun.append)
    before = digest(run)
    resume(monkeypatch, f"resume={run}", "training.epochs=3")
    assert len(begun) == 1
    assert digest(run) == before


@pytest.mark.parametrize("name", ["a=b,c~d", "x y", "it's"])
def test_a_run_s_folder_may_have_any_name(run: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    begun: list[object] = []
    monkeypatch.setattr(hydra_app, "_run", begun.append)
    monkeypatch.setenv("HOME", str(run.parent))
    run.rename(run.with_name(name))
    resume(monkeypatch, f"resume=~/{name}", "training.epochs=3")
    assert len(begun) == 1


@pytest.mark.parametrize("text", ["{}", "[]", "", '{"selection": NaN}', json.dumps({**record(9.0), "protocols": {}})])
def test_results_without_figures_finish_no_run(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text)
    assert not is_finished(tmp_path)
    with pytest.raises(UserError, match="damaged"):
        read_results(tmp_path / "results.json")


def test_a_run_begins_by_keeping_old_results_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("training:\n  epochs: 2\n")
    (tmp_path / "results.json").write_text("{}")
    begin(tmp_path, {"config.yaml": "a: 1\n", ".hydra/overrides.yaml": "[]\n"})
    assert (tmp_path / "results_of_2_epochs.json").read_text() == "{}"
    assert (tmp_path / "config.yaml").read_text() == "a: 1\n"
    assert (tmp_path / ".hydra" / "overrides.yaml").read_text() == "[]\n"
    with pytest.raises(UserError, match="holds a run already"):
        require_fresh(tmp_path)


def test_a_folder_in_which_nothing_was_begun_goes(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(UserError, match="x"), locked(tmp_path / "run"):
        raise UserError("x")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file"):
        require_writable(tmp_path / "file" / "run")
    with pytest.raises(UserError, match="File name too long"):
        require_writable(tmp_path / ("n" * 5000))
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(UserError, match="is read-only"):
        require_writable(tmp_path / "run")
    with pytest.raises(UserError, match="cannot be written to"), locked(tmp_path / "nowhere"):
        pass
