"""The authors' checkpoints as ours: a provenance and weights from which everything is rebuilt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from selfalign.backbones.bert import read_bert_settings
from selfalign.data.text.tokenizers import CaptionTokenizer, WordPieceTokenizer, WordTokenizer
from selfalign.data.text.vocabulary import Vocabulary
from selfalign.errors import UserError, shown
from selfalign.interop.original_checkpoint import OriginalCheckpoint, read_original_checkpoint
from selfalign.interop.original_vocabulary import read_original_vocabulary
from selfalign.runs.checkpoint import Provenance
from selfalign.settings import TrainingRun, checked

_SUFFIXES = (".tar", ".pth")


def is_original(path: Path) -> bool:
    """Whether a checkpoint's name is of the authors' kind (``model_best.pth.tar``)."""
    return path.suffix in _SUFFIXES


def convert(
    path: Path, vocabulary: Path | None, bert: Path | None, data: dict[str, Any]
) -> tuple[Provenance, dict[str, Tensor]]:
    """What :func:`selfalign.runs.checkpoint.read_checkpoint` gives, for an authors' checkpoint.

    The captioner is not in such files, so the captioning loss gets weight 0.

    Args:
        path: the checkpoint.
        vocabulary: VSRN's vocabulary, pickled by the authors' code or our JSON.
        bert: CAMERA's BERT folder, for its settings and word pieces; the weights are in the checkpoint.
        data: settings of the data.

    Raises:
        UserError: if a file is missing, refused, or does not fit the others.
    """
    try:
        return _converted(path, vocabulary, bert, data)
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        reason = f"{type(error).__name__}: {shown(str(error))}"
        raise UserError(f"checkpoint {path}: lacks what the authors' checkpoints have ({reason})") from error


def _converted(
    path: Path, vocabulary: Path | None, bert: Path | None, data: dict[str, Any]
) -> tuple[Provenance, dict[str, Tensor]]:
    original = read_original_checkpoint(path)
    settings = original.backbone_settings()
    tokenizer: CaptionTokenizer
    bert_settings = None
    if original.backbone == "camera":
        if bert is None:
            raise UserError(f"checkpoint {path}: CAMERA needs its BERT folder; pass original.bert=DIR")
        bert_settings = read_bert_settings(bert)
        length = int(original.options.get("max_words", 32))
        tokenizer = WordPieceTokenizer.from_pretrained(str(bert), maximum_length=length)
        settings["bert"] = {"source": str(bert), "frozen": True, "dropout": True, "maximum_length": length}
        table = original.weights["backbone.text_tower.bert.embeddings.word_embeddings.weight"]
    else:
        if vocabulary is None:
            raise UserError(f"checkpoint {path}: VSRN needs its vocabulary; pass original.vocabulary=FILE.pkl")
        words = (Vocabulary.load if vocabulary.suffix == ".json" else read_original_vocabulary)(vocabulary)
        tokenizer = WordTokenizer(words)
        settings["vocabulary"] = {"file": str(vocabulary), "minimum_count": 4, "tokenizer": words.tokenizer}
        table = original.weights["backbone.text_tower.embedding.weight"]
    if len(table) != tokenizer.vocabulary_size:
        raise UserError(
            f"checkpoint {path}: has {len(table)} words, {bert or vocabulary} has {tokenizer.vocabulary_size}; "
            "they are not of the same model"
        )
    config = {
        "backbone": settings,
        "loss": _loss(original),
        "training": _training(original),
        "data": {"train_split": "train", "val_split": "dev", "test_split": "test", "protocol": ["full"], **data},
        "seed": None,
        "padding": "paper",
    }
    complete = checked(config, TrainingRun, record=True)
    return Provenance(complete, original.region_width, tokenizer.state(), bert_settings), original.weights


def _loss(original: OriginalCheckpoint) -> dict[str, Any]:
    weight = float(original.selfalign)
    prototypes = original.weights.get("losses.concept.prototypes")
    loss: dict[str, Any] = {
        "towers": "selfalign" if original.selfalign else "original",
        "ranking": {"weight": 1.0, "margin": float(original.options.get("margin", 0.2))},
        "concept": {
            "weight": weight,
            "prototypes": 1024 if prototypes is None else len(prototypes),
            "freeze_epochs": int(original.backbone == "camera"),
        },
        "context": {"weight": weight, "temperature": float(original.options.get("v5_tao", 0.7))},
    }
    if original.backbone == "camera":
        return loss | {"diversity": {"weight": float(original.options.get("smry_lamda", 0.01))}}
    return loss | {"captioning": {"weight": 0.0, "maximum_length": 60}}


def _training(original: OriginalCheckpoint) -> dict[str, Any]:
    options = original.options
    return {
        "learning_rate": float(options.get("learning_rate", 2e-4)),
        "decay_every": int(options.get("lr_update", 15)),
        "epochs": int(options.get("num_epochs", 30)),
        "clip_norm": float(options.get("grad_clip", 2.0)),
        "validate_every": int(options.get("val_step", 500)),
    }
