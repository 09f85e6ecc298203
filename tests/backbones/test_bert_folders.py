"""BERT folders of every age load whole, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from selfalign.backbones.bert import build_bert, load_bert
from selfalign.errors import UserError

SETTINGS = {
    "vocab_size": 20,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 12,
}


def folder_of(root: Path, names: Callable[[str], str] = lambda name: name, settings: str = "config.json") -> Any:
    torch.manual_seed(0)
    model = build_bert({"model_type": "bert"} | SETTINGS)
    for values in model.parameters():
        torch.nn.init.normal_(values)
    weights = {names(name): values for name, values in model.state_dict().items()}
    torch.save(
        weights | {"bert.pooler.dense.bias": torch.ones(8), "cls.predictions.bias": torch.ones(20)},
        root / "pytorch_model.bin",
    )
    (root / settings).write_text(json.dumps(SETTINGS))
    return model


def tensorflow_age(name: str) -> str:
    return "bert." + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


@pytest.mark.parametrize("settings", ["config.json", "bert_config.json"])
@pytest.mark.parametrize("names", [str, tensorflow_age])
def test_old_names_and_old_settings_load_whole(names: Callable[[str], str], settings: str, tmp_path: Path) -> None:
    expected = folder_of(tmp_path, names, settings).state_dict()
    found = load_bert(str(tmp_path)).state_dict()
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, rtol=0, atol=0)


def edit(root: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = torch.load(root / "pytorch_model.bin", weights_only=True)
    change(weights)
    torch.save(weights, root / "pytorch_model.bin")


NAME = "encoder.layer.0.attention.self.query.weight"
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing weight": (lambda root: edit(root, lambda w: w.pop(NAME)), "1 are missing, first encoder.layer.0"),
    "unexpected weight": (
        lambda root: edit(root, lambda w: w.update(extra=torch.ones(1))),
        "1 are unexpected, first extra",
    ),
    "other shape": (lambda root: edit(root, lambda w: w.update({NAME: torch.ones(3, 3)})), "is \\(3, 3\\)"),
    "no settings": (lambda root: (root / "config.json").unlink(), "would be guessed"),
    "settings no JSON": (lambda root: (root / "config.json").write_text("{"), "damaged"),
    "weights no file of torch": (lambda root: (root / "pytorch_model.bin").write_bytes(b"junk"), "refused"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_incomplete_folder_is_refused(name: str, tmp_path: Path) -> None:
    folder_of(tmp_path)
    break_it, message = BROKEN[name]
    break_it(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        load_bert(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"} | SETTINGS))
    with pytest.raises(UserError, match="neither pytorch_model"):
        load_bert(str(tmp_path))
