"""``selfalign export``: what is written, what is sent, what is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

import selfalign
from selfalign.commands.export import main

RUN = Path(__file__).parents[1] / "old_runs" / "vsrn"
FILES = ["README.md", "config.json", "model.safetensors"]


class Hub:
    """In place of the hub's client: remembers what it was asked."""

    calls: list[tuple[str, Any]]

    def create_repo(self, name: str, **options: Any) -> str:
        self.calls.append((name, options))
        return f"https://hub/{name}"

    def upload_folder(self, *, repo_id: str, folder_path: Path, allow_patterns: list[str]) -> None:
        self.calls.append((repo_id, (Path(folder_path), sorted(allow_patterns))))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> type[Hub]:
    Hub.calls = []
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    return Hub


def test_a_run_becomes_a_folder_that_is_the_same_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(RUN), "--to", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    one, other = (selfalign.load(path, device="cpu") for path in (RUN, tmp_path / "out"))
    assert one.identities == other.identities
    assert "no figures: it was not evaluated" in capsys.readouterr().out


@pytest.mark.parametrize(("options", "private"), [([], True), (["--public"], False)])
def test_only_the_models_files_are_sent(
    tmp_path: Path, hub: type[Hub], options: list[str], private: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert main([str(RUN), "--to", str(tmp_path), "--push", "somebody/vsrn", *options]) == 0
    assert hub.calls == [
        ("somebody/vsrn", {"private": private, "exist_ok": True}),
        ("somebody/vsrn", (tmp_path, FILES)),
    ]
    assert "https://hub/somebody/vsrn" in capsys.readouterr().out


def test_a_hub_that_is_out_of_reach_is_one_line_and_the_folder_is_there(
    tmp_path: Path, hub: type[Hub], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("no\nnetwork")

    monkeypatch.setattr(hub, "create_repo", refuse)
    assert main([str(RUN), "--to", str(tmp_path), "--push", "somebody/vsrn"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --push somebody/vsrn: ")
    assert "(no network)" in line
    assert (tmp_path / "model.safetensors").is_file()


def test_a_model_that_is_none_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nothing.ckpt"), "--to", str(tmp_path / "out")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
