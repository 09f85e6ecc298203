"""BERT-family text encoders of transformers: loaded from a hub name or a folder, or rebuilt from their own settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from selfalign.backbones.text_encoders import architecture, text_config
from selfalign.errors import UserError, shown
from selfalign.files.plain_values import read_json
from selfalign.files.regular_files import open_regular
from selfalign.files.torch_files import read_torch_file

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SETTINGS = ("config.json", "bert_config.json")
_WEIGHTS = "pytorch_model.bin"
_LARGEST_SETTINGS = 2**20
_LARGEST = {
    "hidden_size": 2**16,
    "num_hidden_layers": 1_000,
    "num_attention_heads": 2**12,
    "intermediate_size": 2**20,
    "vocab_size": 2**24,
    "max_position_embeddings": 2**24,
    "type_vocab_size": 2**16,
    "dim": 2**16,
    "hidden_dim": 2**20,
    "n_layers": 1_000,
    "n_heads": 2**12,
    "embedding_size": 2**16,
}
_OF_OTHER_USES = frozenset(
    {
        "_name_or_path",
        "transformers_version",
        "dtype",
        "torch_dtype",
        "architectures",
        "id2label",
        "label2id",
        "quantization_config",
    }
)
"""Settings of a model that say nothing of its words."""
_HEADS = ("pooler.", "cls.")


def build_bert(settings: dict[str, Any]) -> PreTrainedModel:
    """A BERT-family model with random weights.

    Args:
        settings: its configuration as plain values, with ``model_type``.

    Raises:
        UserError: if transformers does not know the model type, or no model has such settings.
    """
    from transformers import AutoConfig, AutoModel

    settings = dict(settings)
    model_type = settings.pop("model_type", None)
    if model_type is None:
        raise UserError("BERT settings: model_type is missing; expected a transformers model type, for example 'bert'")
    _require_possible("BERT settings", settings)
    try:
        config = AutoConfig.for_model(model_type, **settings)
        return AutoModel.from_config(config, dtype=torch.float32, **_without_pooler(model_type))
    except Exception as error:  # the library raises a dozen types on settings of the wrong kind
        raise UserError(f"BERT settings: no model of model_type {shown(model_type)} ({_one_line(error)})") from error


def load_bert(source: str) -> PreTrainedModel:
    """A pretrained BERT-family model in fp32.

    Args:
        source: a hub name (``bert-base-uncased``) or a local folder with ``config.json`` and weights.

    Raises:
        UserError: if the hub cannot be reached, the folder is incomplete, or weights are missing.
    """
    folder = Path(source).expanduser()
    local = folder.is_dir()
    if local:
        source = str(folder)
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        settings = read_bert_settings(folder)
        if (folder / _WEIGHTS).is_file():
            return _load_folder(folder)
        if not (folder / "config.json").is_file():
            raise UserError(f"BERT folder {source}: config.json is missing; without it the size would be guessed")
        _require_weights_of_size(folder, settings)
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()  # of seconds, and in log files too
    try:
        config = text_config(AutoConfig.from_pretrained(source))
        model, report = AutoModel.from_pretrained(
            source,
            config=config,
            dtype=torch.float32,
            output_loading_info=True,
            **_without_pooler(config.model_type),
        )
    except Exception as error:  # the libraries raise a dozen types on files that are damaged
        advice = (
            "check its files, or download it again"
            if local
            else "if the hub is out of reach, download it elsewhere and pass its folder: backbone.bert.source=DIR"
        )
        raise UserError(f"BERT {source!r} cannot be loaded ({_one_line(error)}); {advice}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise UserError(
            f"BERT {source!r}: {len(missing)} weights are missing, first {missing[0]}; use a complete model"
        )
    _require_finite(source, model)
    return model


def read_bert_settings(folder: Path) -> dict[str, Any]:
    """Plain settings of ``config.json``, or of ``bert_config.json`` as older folders call it.

    Raises:
        UserError: if neither is there or it is not a record.
    """
    path = next((folder / name for name in _SETTINGS if (folder / name).is_file()), None)
    if path is None:
        raise UserError(f"BERT folder {folder}: neither {' nor '.join(_SETTINGS)} is there; its size would be guessed")
    record = read_json(path, "BERT settings", _LARGEST_SETTINGS)
    if not isinstance(record, dict):
        raise UserError(f"BERT settings {path}: expected named values")
    if not isinstance(record.get("model_type", "bert"), str):
        raise UserError(f"BERT settings {path}: model_type expected a name, got {shown(record['model_type'])}")
    if record.get("model_type") == "clip" and isinstance(record.get("text_config"), dict):
        record = record["text_config"] | {"model_type": "clip_text_model"}
    plain = {name: value for name, value in record.items() if value is not None and name not in _OF_OTHER_USES}
    _require_possible(f"BERT settings {path}", plain)
    return {"model_type": "bert"} | plain


def _require_possible(where: str, settings: dict[str, Any]) -> None:
    """Refuse sizes that no model has, before the library takes hours or memory for them.

    Raises:
        UserError: naming the setting.
    """
    for name, largest in _LARGEST.items():
        value = settings.get(name, 1)
        if type(value) is not int or not 1 <= value <= largest:
            raise UserError(f"{where}: {name} expected a whole number from 1 to {largest:,}, got {shown(value)}")


def _require_weights_of_size(folder: Path, settings: dict[str, Any]) -> None:
    """Refuse weight files that only stand for others, or are smaller than the model that the settings describe.

    Raises:
        UserError: naming the file.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(f"BERT folder {folder}: neither {_WEIGHTS} nor model.safetensors is there")
    for path in files:
        with open_regular(path, "BERT weights"):
            pass
    width, layers = int(settings.get("hidden_size", 1)), int(settings.get("num_hidden_layers", 1))
    least = width * (layers * width + int(settings.get("vocab_size", 1)))  # bytes, of an eighth of the weights at most
    held = sum(path.stat().st_size for path in files)
    if held < least:
        raise UserError(
            f"BERT weights {files[0]}: {held:,} bytes, the settings describe a model of more than {least:,}; "
            "cut off, or of another model"
        )


def _require_finite(source: str, model: PreTrainedModel) -> None:
    wrong = next((name for name, values in model.named_parameters() if not torch.isfinite(values).all()), None)
    if wrong is not None:
        raise UserError(f"BERT {source!r}: weights of {wrong} are not finite; download it again")


def _load_folder(folder: Path) -> PreTrainedModel:
    """A folder of the BERT family with ``pytorch_model.bin``, names of TensorFlow's age (gamma, beta) included.

    Every parameter must be there and nothing else but a pooler, pretraining heads, which retrieval never uses, and
    what stands beside an encoder whose parameters have its name before them.
    """
    model = build_bert(read_bert_settings(folder))
    path = folder / _WEIGHTS
    stored = read_torch_file(path, "BERT weights")
    if not isinstance(stored, dict):
        raise UserError(f"BERT weights {path}: expected a state dict, got {type(stored).__name__}")
    weights = {}
    prefixes = (f"{model.base_model_prefix}.", "text_model.")
    inside = tuple(f"{prefix}{head}" for prefix in prefixes for head in _HEADS)
    prefixed = any(str(name).startswith(prefixes) and not str(name).startswith(inside) for name in stored)
    for name, values in stored.items():
        if not isinstance(name, str) or not isinstance(values, torch.Tensor):
            raise UserError(f"BERT weights {path}: expected tensors by name, got {shown(name)}: {shown(values)}")
        own = next((name.removeprefix(prefix) for prefix in prefixes if name.startswith(prefix)), name)
        own = own.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
        beside = prefixed and not name.startswith(prefixes)
        if not beside and not own.startswith(_HEADS) and not own.endswith("position_ids"):
            weights[own] = values
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
    _require_finite(str(folder), model)
    return model


def bert_settings(model: PreTrainedModel) -> dict[str, Any]:
    """The configuration of ``model`` as plain values, from which :func:`build_bert` rebuilds it."""
    config = model.config
    named = {name: value for name, value in config.to_diff_dict().items() if name not in _OF_OTHER_USES}
    return {name: value for name, value in named.items() if value is not None} | {"model_type": config.model_type}


def _without_pooler(model_type: str) -> dict[str, bool]:
    """The models read words, never the pooled sentence: its weights would be dead."""
    return {"add_pooling_layer": False} if architecture(model_type).pooler else {}


def _one_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200] or type(error).__name__
