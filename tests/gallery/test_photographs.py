"""From a folder of photographs to an index of them, by the extractor that the model remembers."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import selfalign
from selfalign.commands import index as index_command
from selfalign.engine.building import rebuild_module
from selfalign.gallery.index import Index
from selfalign.photographs import Extractor
from selfalign.runs.checkpoint import read_checkpoint, write_checkpoint
from tests.gallery.conftest import RUNS
from tests.photographs.tiny_models import save_photograph, save_vit


def write_model_of(extractor: Extractor, path: Path) -> None:
    """CAMERA of random weights for the features of an extractor."""
    provenance, _ = read_checkpoint(RUNS / "camera" / "checkpoints" / "best.ckpt")
    record = extractor.identity.to_dict()
    provenance = replace(provenance, region_width=extractor.width, extractor=record)
    torch.manual_seed(0)
    write_checkpoint(path, provenance, rebuild_module(provenance)[0].state_dict())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("photographs")
    for seed in range(4):
        save_photograph(place / "photos" / f"{seed} <b>.png", seed)
    (place / "photos" / "cut.jpg").write_bytes(save_photograph(place / "whole.jpg").read_bytes()[:300])
    write_model_of(Extractor.load(str(save_vit(place / "vit")), device="cpu"), place / "model.ckpt")
    return place


def index(place: Path, out: Path, *words: str) -> int:
    command = [str(place / "model.ckpt"), "--photos", str(place / "photos"), "--out", str(out), "--device", "cpu"]
    return index_command.main([*command, *words])


def test_photographs_become_an_index_that_the_same_command_finds_complete(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert index(place, tmp_path / "index") == 0
    assert "passed over photograph" in capsys.readouterr().out
    made = Index.open(tmp_path / "index")
    assert [made.image(row).name for row in range(4)] == [f"{seed} <b>.png" for seed in range(4)]
    assert made.record.photographs == str(place / "photos")
    model = selfalign.load(place / "model.ckpt", device="cpu")
    alone = model.encode_photographs([place / "photos" / "2 <b>.png"], model.extractor(device="cpu"))
    torch.testing.assert_close(made.vectors_of_image(2).parts[0].views, alone.parts[0].views, rtol=0, atol=1e-6)
    assert index(place, tmp_path / "index") == 0
    told = capsys.readouterr().out
    assert "the regions are there" in told
    assert "is complete already" in told


def test_photographs_that_changed_since_are_refused(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(place / "photos", tmp_path / "photos")
    command = [str(place / "model.ckpt"), "--photos", str(tmp_path / "photos"), "--out", str(tmp_path / "index")]
    assert index_command.main(command) == 0
    save_photograph(tmp_path / "photos" / "0 <b>.png", 9)
    assert index_command.main(command) == 2
    assert "or changed since; name a new folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--strict"], "cut.jpg"),
        (["--split", "test"], "--photos: is the whole gallery"),
        (["data=scenes"], "--photos: is the whole gallery"),
        (["--extractor", "no/such"], "no/such"),
        (["--photos", "no/folder"], "no/folder"),
    ],
)
def test_wrong_calls_are_one_line(
    place: Path, tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert index(place, tmp_path / "index", *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_a_model_of_unknown_features_takes_no_photographs(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(RUNS / "camera"), "--photos", str(place / "photos"), "--out", str(tmp_path / "index")]
    assert index_command.main(command) == 2
    assert "nothing tells the extractor of its training features" in capsys.readouterr().err
    assert not (tmp_path / "index").exists()
