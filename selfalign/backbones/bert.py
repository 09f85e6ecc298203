"""BERT-family text encoders of transformers: loaded from a hub name or a folder, or rebuilt from their own settings."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from selfalign.errors import UserError
from selfalign.files.torch_files import read_torch_file

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SETTINGS = ("config.json", "bert_config.json")
_WEIGHTS = "pytorch_model.bin"
_WITH_POOLER = frozenset({"bert", "roberta", "camembert", "xlm-roberta"})


def build_bert(settings: dict[str, Any]) -> PreTrainedModel:
    """A BERT-family model with random weights.

    Args:
        settings: its configuration as plain values, with ``model_type``.

    Raises:
        UserError: if transformers does not know the model type.
    """
    from transformers import AutoConfig, AutoModel

    settings = dict(settings)
    model_type = settings.pop("model_type", None)
    if model_type is None:
        raise UserError("BERT settings: model_type is missing; expected a transformers model type, for example 'bert'")
    try:
        config = AutoConfig.for_model(model_type, **settings)
    except ValueError as error:
        raise UserError(f"BERT settings: unknown model_type {model_type!r} ({_one_line(error)})") from error
    return AutoModel.from_config(config, dtype=torch.float32, **_without_pooler(model_type))


def load_bert(source: str) -> PreTrainedModel:
    """A pretrained BERT-family model in fp32.

    Args:
        source: a hub name (``bert-base-uncased``) or a local folder with ``config.json`` and weights.

    Raises:
        UserError: if the hub cannot be reached, the folder is incomplete, or weights are missing.
    """
    local = Path(source).expanduser().is_dir()
    if local:
        source = str(Path(source).expanduser())
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        if (Path(source) / _WEIGHTS).is_file():
            return _load_folder(Path(source))
        if not (Path(source) / "config.json").is_file():
            raise UserError(f"BERT folder {source}: config.json is missing; without it the size would be guessed")
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()  # of seconds, and in log files too
    try:
        config = AutoConfig.from_pretrained(source)
        model, report = AutoModel.from_pretrained(
            source,
            config=config,
            dtype=torch.float32,
            output_loading_info=True,
            **_without_pooler(config.model_type),
        )
    except (OSError, ValueError) as error:
        advice = (
            "check its files"
            if local
            else "if the hub is out of reach, download it elsewhere and pass its folder: backbone.bert.source=DIR"
        )
        raise UserError(f"BERT {source!r} cannot be loaded ({_one_line(error)}); {advice}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise UserError(
            f"BERT {source!r}: {len(missing)} weights are missing, first {missing[0]}; use a complete model"
        )
    return model


def read_bert_settings(folder: Path) -> dict[str, Any]:
    """Plain settings of ``config.json``, or of ``bert_config.json`` as older folders call it.

    Raises:
        UserError: if neither is there or it is not a record.
    """
    path = next((folder / name for name in _SETTINGS if (folder / name).is_file()), None)
    if path is None:
        raise UserError(f"BERT folder {folder}: neither {' nor '.join(_SETTINGS)} is there; its size would be guessed")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"BERT settings {path}: not JSON in UTF-8 ({_one_line(error)})") from error
    if not isinstance(record, dict):
        raise UserError(f"BERT settings {path}: expected named values")
    plain = {name: value for name, value in record.items() if isinstance(value, str | int | float | bool)}
    return {"model_type": "bert"} | plain


def _load_folder(folder: Path) -> PreTrainedModel:
    """A folder of the BERT family with ``pytorch_model.bin``, names of TensorFlow's age (gamma, beta) included.

    Every parameter must be there and nothing else but a pooler and pretraining heads, which retrieval never uses.
    """
    model = build_bert(read_bert_settings(folder))
    path = folder / _WEIGHTS
    stored = read_torch_file(path, "BERT weights")
    if not isinstance(stored, dict):
        raise UserError(f"BERT weights {path}: expected a state dict, got {type(stored).__name__}")
    weights = {}
    for name, values in stored.items():
        name = name.removeprefix("bert.").replace("LayerNorm.gamma", "LayerNorm.weight")
        name = name.replace("LayerNorm.beta", "LayerNorm.bias")
        if not name.startswith(("pooler.", "cls.")) and not name.endswith("position_ids"):
            weights[name] = values
    expected = model.state_dict()
    for problem, names in (("missing", expected.keys() - weights), ("unexpected", weights.keys() - expected)):
        if names:
            raise UserError(f"BERT weights {path}: {len(names)} are {problem}, first {min(names)}")
    wrong = next((name for name in expected if expected[name].shape != weights[name].shape), None)
    if wrong is not None:
        raise UserError(
            f"BERT weights {path}: {wrong} is {tuple(weights[wrong].shape)}, the settings say "
            f"{tuple(expected[wrong].shape)}"
        )
    model.load_state_dict(weights)
    return model


def bert_settings(model: PreTrainedModel) -> dict[str, Any]:
    """The configuration of ``model`` as plain values, from which :func:`build_bert` rebuilds it."""
    return {
        name: value
        for name, value in model.config.to_diff_dict().items()
        if isinstance(value, str | int | float | bool)
        and name not in {"_name_or_path", "transformers_version", "dtype"}
    } | {"model_type": model.config.model_type}


def _without_pooler(model_type: str) -> dict[str, bool]:
    """The models read words, never the pooled sentence: its weights would be dead."""
    return {"add_pooling_layer": False} if model_type in _WITH_POOLER else {}


def _one_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]
