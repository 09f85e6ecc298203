"""The authors' checkpoints through our evaluation: files in, results.json and embeddings out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from selfalign.engine.evaluation import evaluate_checkpoints, quiet_libraries
from selfalign.errors import UserError

CASES = ("cam_base", "cam_sa", "vsrn_base", "vsrn_base_coco", "vsrn_sa", "vsrn_sa_coco")
CPU = {"accelerator": "cpu", "devices": 1}


@pytest.fixture(autouse=True)
def _punkt(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet_libraries()
    monkeypatch.setattr("nltk.data.path", [str(shared / "data" / "nltk_data")])


def files(folder: Path) -> dict[str, Any]:
    vocabulary = next(iter((folder / "vocab").glob("*.pkl")), None)
    return {"vocabulary": vocabulary, "bert": None if vocabulary else folder / "bert", "to": None}


def score(folder: Path, out: Path, checkpoint: Path | None = None, **settings: Any) -> dict[str, Any]:
    data = {"root": str(folder / "data"), "batch_size": 32}
    settings = {"original": files(folder), "data": data, "split": "test", "embeddings": True} | settings
    return evaluate_checkpoints([checkpoint or folder / "trained.pth.tar"], out, strategy=CPU, **settings)


@pytest.mark.parametrize("case", CASES)
def test_it_agrees_with_the_authors(case: str, shared: Path, tmp_path: Path) -> None:
    folder = shared / "golden" / case
    record = score(folder, tmp_path)
    expected = json.loads((folder / "expected.json").read_text())
    for side in ("i2t", "t2i"):
        for ours, theirs in (
            ("r1", "r1"),
            ("r5", "r5"),
            ("r10", "r10"),
            ("median_rank", "medr"),
            ("mean_rank", "meanr"),
        ):
            assert record[side][ours] == pytest.approx(expected[side][theirs], abs=1e-9)
    found, tensors = load_file(tmp_path / "embeddings.safetensors"), load_file(folder / "expected.safetensors")
    for ours, theirs in (
        ("image", "image_embeddings"),
        ("caption", "caption_embeddings"),
        ("similarity", "similarity"),
    ):
        torch.testing.assert_close(found[ours], tensors[theirs], rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", ["cam_sa", "vsrn_base"])
def test_a_converted_checkpoint_gives_the_same_numbers(case: str, shared: Path, tmp_path: Path) -> None:
    folder = shared / "golden" / case
    converted = tmp_path / "ours.ckpt"
    first = score(folder, tmp_path, original=files(folder) | {"to": converted})
    again = score(folder, tmp_path, converted, original=None)
    assert [again[key] for key in ("i2t", "t2i", "rsum")] == [first[key] for key in ("i2t", "t2i", "rsum")]


def test_files_of_another_model_are_refused(shared: Path, tmp_path: Path) -> None:
    golden = shared / "golden"
    for case, original, message in (
        ("vsrn_sa", {"vocabulary": None, "bert": None}, "original.vocabulary=FILE.pkl"),
        ("cam_sa", {"vocabulary": None, "bert": None}, "original.bert=DIR"),
        (
            "vsrn_sa",
            {"vocabulary": shared / "data/vocab/f30k_precomp_vocab.pkl", "bert": None},
            "not of the same model",
        ),
    ):
        with pytest.raises(UserError, match=message):
            score(golden / case, tmp_path, original=original)


def test_without_data_it_says_what_to_pass(shared: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"pass data=precomputed data\.root=DIR"):
        score(shared / "golden" / "vsrn_sa", tmp_path, data={})
