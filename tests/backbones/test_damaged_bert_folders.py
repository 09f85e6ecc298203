"""Every damaged file of a BERT folder ends one way: in one line that names it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from selfalign.backbones.bert import build_bert, load_bert
from selfalign.data.text.tokenizers import WordPieceTokenizer
from selfalign.errors import UserError

SETTINGS = {
    "model_type": "bert",
    "vocab_size": 30,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 12,
}
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(chr(97 + place) for place in range(25))]
DAMAGES = {
    "a git-lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n",
    "empty": b"",
    "random": np.random.default_rng(0).bytes(900),
    "a list": b"[]",
    "deep": b"[" * 100_000,
    "a header of exabytes": b"\xff" * 8 + b"{}" + bytes(5_000),
    "zeros": bytes(5_000),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_file(dict(build_bert(dict(SETTINGS)).state_dict()), tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(SETTINGS))
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES))
    return tmp_path


def read(folder: Path) -> None:
    load_bert(str(folder))
    WordPieceTokenizer.from_pretrained(str(folder)).encode(["a b"])


def test_the_good_folder_is_read(folder: Path) -> None:
    read(folder)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "name",
    ["model.safetensors", "pytorch_model.bin", "config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json"],
)
def test_a_damaged_file_is_one_line(name: str, damage: str, folder: Path) -> None:
    (folder / name).write_bytes(DAMAGES[damage])
    with pytest.raises(UserError) as caught:
        read(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    assert len(str(caught.value)) < 600


def test_cut_weights_are_one_line(folder: Path) -> None:
    size = (folder / "model.safetensors").stat().st_size
    os.truncate(folder / "model.safetensors", size - 100)
    with pytest.raises(UserError, match="check its files, or download it again"):
        load_bert(str(folder))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_size", 10**9),
        ("hidden_size", 0),
        ("hidden_size", "8"),
        ("hidden_size", 9),
        ("num_hidden_layers", 10**9),
        ("num_hidden_layers", 900),
        ("num_attention_heads", True),
        ("vocab_size", 10**12),
        ("vocab_size", -1),
        ("model_type", ["bert"]),
        ("model_type", "no-such-type"),
        ("hidden_act", "no-such-act"),
    ],
)
def test_settings_of_no_model_are_one_line_at_once(name: str, value: object, folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps(SETTINGS | {name: value}))
    with pytest.raises(UserError) as caught:
        load_bert(str(folder))
    assert "\n" not in str(caught.value)


def test_weights_that_are_no_numbers_are_refused(folder: Path) -> None:
    weights = dict(build_bert(dict(SETTINGS)).state_dict())
    weights["encoder.layer.0.output.dense.weight"][3, 2] = torch.nan
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"encoder\.layer\.0\.output\.dense\.weight are not finite"):
        load_bert(str(folder))
