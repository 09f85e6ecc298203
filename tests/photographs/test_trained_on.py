"""A model knows whose features it was trained on, and sees no others."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import selfalign
from selfalign.commands.convert import main as convert
from selfalign.engine import training
from selfalign.engine.building import rebuild_module
from selfalign.engine.evaluation import evaluate_checkpoints
from selfalign.engine.starting import require_same_model
from selfalign.errors import UserError
from selfalign.photographs import Extractor
from selfalign.photographs.record import RECORD, read_record
from selfalign.runs.checkpoint import Provenance, read_checkpoint, write_checkpoint
from tests.photographs.extracting import run
from tests.photographs.tiny_models import save_photograph, save_vit

OLD = Path(__file__).parents[1] / "old_runs" / "camera" / "checkpoints" / "best.ckpt"
CPU = {"strategy": "auto", "accelerator": "cpu", "devices": 1, "num_nodes": 1, "precision": "32-true"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of one extractor, of another of its width and of none that is known, and a model of each of two."""
    place = tmp_path_factory.mktemp("trained")
    for seed in range(3):
        save_photograph(place / "photos" / f"{seed}.png", seed)
    captions = "".join(f"{seed}.png#{n}\ta red ball {seed} {n}\n" for seed in range(3) for n in range(5))
    (place / "captions.txt").write_text(captions)
    for seed, name in enumerate(("own", "other", "unknown")):
        vit = save_vit(place / f"vit-{name}", seed)
        run(place / "photos", place / name, vit, "--captions", str(place / "captions.txt"))
    (place / "unknown" / RECORD).unlink()
    write(place / "model.ckpt", read_record(place / "own").to_dict())
    write(place / "old.ckpt", None)
    return place


def write(path: Path, extractor: dict | None) -> None:
    """A model of random weights for features that are 16 wide."""
    provenance = replace(read_checkpoint(OLD)[0], region_width=16, extractor=extractor)
    write_checkpoint(path, provenance, rebuild_module(provenance)[0].state_dict())


REFUSED = [
    ("model", "other", r"of another extractor \('.*vit-other'\) than those that the model .*model.ckpt was trained on"),
    ("model", "unknown", r"nothing tells their extractor \(no extractor.json\), the model .*model.ckpt was trained on"),
    (
        "old",
        "own",
        r"made by '.*vit-own', the model .*old.ckpt was trained on features of nobody knows which extractor",
    ),
]


@pytest.mark.parametrize(("model", "data", "words"), REFUSED)
def test_features_of_another_extractor_are_refused_in_one_line(place: Path, model: str, data: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        selfalign.load(place / f"{model}.ckpt", device="cpu").encode_images(place / data, split="train")
    assert "\n" not in str(caught.value)
    root = {"root": str(place / data)}
    with pytest.raises(UserError, match=words):
        evaluate_checkpoints([place / f"{model}.ckpt"], place, strategy=CPU, data=root, split="train")
    assert not (place / "results.json").exists()


@pytest.mark.parametrize(("model", "data"), [("model", "own"), ("old", "unknown")])
def test_features_of_its_own_are_seen_and_unknown_ones_by_a_model_of_unknown_ones(
    place: Path, model: str, data: str
) -> None:
    assert len(selfalign.load(place / f"{model}.ckpt", device="cpu").encode_images(place / data, split="train")) == 3


def test_a_training_stores_the_extractor_and_how_to_make_it_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = read_checkpoint(OLD)[0].config
    config["data"]["root"] = str(place / "own")
    for name in ("prepare_data", "checked_width"):
        monkeypatch.setattr(training, name, lambda *_: 16)
    module, _ = training._model_and_data(config | {"init_from": None, "compile": False}, None)
    stored = module.provenance["extractor"]
    assert stored == read_record(place / "own").to_dict()
    assert (stored["extractor"]["model"], stored["extractor"]["side"]) == (str(place / "vit-own"), 32)
    assert len(stored["extractor"]["windows"]) == 36
    assert module.hparams["extractor"] == stored


def test_a_run_never_goes_on_with_features_of_another_extractor(place: Path, tmp_path: Path) -> None:
    provenance, _ = read_checkpoint(place / "model.ckpt")
    module, _ = rebuild_module(replace(provenance, extractor=read_record(place / "other").to_dict()))
    with pytest.raises(UserError, match="resume: the training features are of another extractor"):
        require_same_model(module, place / "model.ckpt")


def test_a_photograph_is_encoded_as_it_is_in_a_folder(place: Path) -> None:
    model = selfalign.load(place / "model.ckpt", device="cpu")
    extractor = model.extractor(device="cpu")
    found = model.encode_photographs([place / "photos" / f"{seed}.png" for seed in range(3)], extractor)
    in_folder = model.encode_images(place / "own", split="train")
    np.testing.assert_array_equal(found.parts[0].views, in_folder.parts[0].views)
    other = Extractor.load(str(place / "vit-other"), device="cpu")
    with pytest.raises(UserError, match="trained on features of another extractor"):
        model.encode_photographs([place / "photos" / "0.png"], other)
    with pytest.raises(UserError, match="nothing tells the extractor of its training features"):
        selfalign.load(place / "old.ckpt", device="cpu").extractor()
    with pytest.raises(UserError, match="another model weights"):
        model.extractor(model=str(place / "vit-other"))


def test_an_exported_model_keeps_its_extractor_but_not_where_it_lay(place: Path, tmp_path: Path) -> None:
    model = selfalign.load(place / "model.ckpt", device="cpu")
    model.export(tmp_path / "model")
    stored = json.loads((tmp_path / "model" / "config.json").read_text())["selfalign"]["extractor"]
    assert stored["extractor"]["model"] == "vit-own"
    assert stored["digest"] == read_record(place / "own").digest
    assert stored["digest"] in (tmp_path / "model" / "README.md").read_text()
    again = selfalign.load(tmp_path / "model", device="cpu")
    assert again.identities == model.identities
    assert again.extractor(model=str(place / "vit-own")).identity.digest == stored["digest"]


def test_a_checkpoint_from_before_holds_what_it_held() -> None:
    provenance = read_checkpoint(OLD)[0]
    assert provenance.extractor is None
    assert set(provenance.to_dict()) == {"config", "region_width", "tokenizer", "bert", "format"}


@pytest.mark.parametrize("change", [{"digest": "0" * 64}, {"extractor": {"model": "x"}}, {"extractor": 3}])
def test_a_record_that_was_changed_is_one_line(place: Path, tmp_path: Path, change: dict) -> None:
    write(tmp_path / "changed.ckpt", read_record(place / "own").to_dict() | change)
    with pytest.raises(UserError, match=r"changed.ckpt.*damaged"):
        selfalign.load(tmp_path / "changed.ckpt", device="cpu").encode_images(place / "own", split="train")


def test_half_precision_keeps_the_record(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    features = place / "own" / "train_ims.npy"
    monkeypatch.setattr("sys.argv", ["convert", "float16", str(features), str(tmp_path / "half" / "train_ims.npy")])
    convert()
    assert read_record(tmp_path / "half") == read_record(place / "own")
    monkeypatch.setattr(
        "sys.argv",
        ["convert", "float16", str(place / "unknown" / features.name), str(tmp_path / "half" / "dev_ims.npy")],
    )
    with pytest.raises(SystemExit, match=re.escape("nothing tells the extractor of")):
        convert()


def test_features_of_elsewhere_never_join_those_of_an_extractor(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["npy", "x.npy", "--ids", "ids.txt", "--root", str(place / "own"), "--split", "dev"]
    monkeypatch.setattr("sys.argv", ["convert", *words])
    with pytest.raises(SystemExit, match="features of selfalign extract"):
        convert()


def test_provenances_of_old_positions_stay() -> None:
    assert Provenance({}, 1, {}, None).extractor is None
