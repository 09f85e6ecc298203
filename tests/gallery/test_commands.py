"""``selfalign index`` and ``selfalign search`` as they are typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfalign.commands import index as index_command
from selfalign.commands import search as search_command
from selfalign.gallery import writing
from selfalign.gallery.index import Index

CAMERA = str(Path(__file__).parents[1] / "old_runs" / "camera")
VSRN = str(Path(__file__).parents[1] / "old_runs" / "vsrn")


@pytest.fixture(scope="module")
def made(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("commands") / "index"
    assert index_command.main([CAMERA, "--data", str(scenes), "--split", "test", "--out", str(folder)]) == 0
    return str(folder)


def test_trains_words_for_the_data_are_taken(scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [CAMERA, "data=precomputed", f"data.root={scenes}", "split=dev", "--out", str(tmp_path / "index")]
    assert index_command.main(words) == 0
    assert Index.open(tmp_path / "index").record.split == "dev"
    assert "10 images and 50 captions" in capsys.readouterr().out


def test_a_table_has_scores_files_and_captions(made: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert search_command.main([made, "a small red star", "a\x1b[31m blue ball", "--top", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 11
    assert lines[0] == "a small red star"
    assert lines[1].split() == ["score", "image", "file", "its", "first", "caption"]
    row = lines[2].split()
    assert row[2] == f"images/test_{int(row[1]):05}.png"
    assert float(row[0]) >= float(lines[3].split()[0])
    assert lines[6] == "a\\x1b[31m blue ball"


def test_an_image_finds_captions_without_its_model(
    made: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Index, "load_model", None)
    assert search_command.main([made, "--image", "4", "--top", "60"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "captions of image 4, images/test_00004.png"
    assert sorted(int(line.split()[1]) for line in lines[2:] if "its own" in line) == [20, 21, 22, 23, 24]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected sentences"),
        (["a dog", "--image", "3"], "expected sentences"),
        (["--image", "99"], "expected a row from 0 to 11"),
        ([" "], "none of them empty"),
        (["a dog", "--model", VSRN], "made by another model"),
        (["a dog", "--model", "no/such.ckpt"], "no/such.ckpt"),
    ],
)
def test_wrong_calls_of_search_are_one_line(
    made: str, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search_command.main([made, *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=scenes"], "names no model"),
        ([CAMERA, "data=nothing"], "nothing"),
        ([CAMERA, "--data", "no/such"], "no/such"),
        ([CAMERA, "data=precomputed", "data.rooot=x"], "rooot"),
        ([CAMERA, VSRN, "--data", "no/such"], "no/such"),
    ],
)
def test_wrong_calls_of_index_are_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert index_command.main([*words, "--out", str(tmp_path / "index")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not (tmp_path / "index").exists()


def test_an_interruption_says_how_to_go_on(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "write_index", stop)
    assert index_command.main([CAMERA, "--data", str(scenes), "--out", str(tmp_path / "index")]) == 130
    assert "the same command goes on" in capsys.readouterr().err
