"""Plain configuration → tokenizer, data and module. No Hydra here: eval.py builds from a checkpoint's own record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from selfalign.backbones.bert import bert_settings, build_bert, load_bert
from selfalign.backbones.text_encoders import require_tokens
from selfalign.data.datamodule import RetrievalDataModule, require_three_splits
from selfalign.data.layout import find_split, require_distinct_files
from selfalign.data.text.captions import read_captions
from selfalign.data.text.kept_text import kept_vocabulary
from selfalign.data.text.tokenizers import CaptionTokenizer, WordPieceTokenizer, WordTokenizer, tokenizer_from_state
from selfalign.data.text.vocabulary import Vocabulary
from selfalign.engine.constructing import Config, construct, without
from selfalign.engine.modules.retrieval import RetrievalModule
from selfalign.errors import UserError
from selfalign.runs.checkpoint import Provenance
from selfalign.settings import BACKBONES

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def prepare_data(data: Config, report: Callable[[str], None]) -> None:
    """Draw the built-in data set where it is asked for and missing; refuse a folder without the splits of a run."""
    names = [data[f"{role}_split"] for role in ("train", "val", "test")]
    require_three_splits(*names)
    if data["scenes"] is not None:
        from selfalign.data.scenes import ensure_scenes

        construct("data.scenes", ensure_scenes, root=Path(data["root"]), progress=report, **data["scenes"])
    require_distinct_files([find_split(Path(data["root"]), name) for name in names])


def build_tokenizer(config: Config, report: Callable[[str], None]) -> CaptionTokenizer:
    """The caption tokenizer of a run that starts: built from the training captions, or loaded."""
    data, backbone = config["data"], config["backbone"]

    def training_captions() -> list[str]:
        captions = read_captions(find_split(Path(data["root"]), data["train_split"]).captions)
        further = [find_split(Path(folder), data["train_split"]).captions for folder in data.get("further") or ()]
        return captions[: data["training_captions"]] + [text for path in further for text in read_captions(path)]

    if BACKBONES[backbone["name"]].tokenizer == "words":
        settings = backbone["vocabulary"]
        if settings["file"] is not None:
            vocabulary = Vocabulary.load(Path(settings["file"]))
        else:
            report("building the vocabulary from the training captions")
            vocabulary = construct(
                "backbone.vocabulary",
                kept_vocabulary,
                captions=training_captions(),
                **without(settings, "file"),
            )
        return WordTokenizer(vocabulary)
    bert = backbone["bert"]
    if bert["source"] is not None:
        return WordPieceTokenizer.from_pretrained(bert["source"], maximum_length=bert["maximum_length"])
    report("collecting word pieces from the training captions")
    return WordPieceTokenizer.from_captions(
        training_captions(), bert["scratch"]["vocabulary_size"], maximum_length=bert["maximum_length"]
    )


def build_data(
    config: Config, tokenizer: CaptionTokenizer, report: Callable[[str], None] | None = None
) -> RetrievalDataModule:
    """The data module; features stay on disk."""
    settings = without(config["data"], "scenes", "protocol", "root", "images", "boxes")
    return construct(
        "data",
        RetrievalDataModule,
        root=Path(config["data"]["root"]),
        tokenizer=tokenizer,
        boxes=BACKBONES[config["backbone"]["name"]].boxes,
        box_unit=config["data"].get("boxes", "pixels"),
        seed=config["seed"] or 0,  # a converted checkpoint of the authors tells none; nothing is shuffled then
        by_length=config["padding"] == "masked",
        pad_to=padded_length(config),
        report=report,
        **settings,
    )


def padded_length(config: Config) -> int | None:
    """Width of caption batches where it is a fixed one: of word pieces, as published; else the longest."""
    if config["padding"] != "paper" or BACKBONES[config["backbone"]["name"]].tokenizer != "word_pieces":
        return None
    return int(config["backbone"]["bert"]["maximum_length"])


def build_module(
    config: Config, region_width: int, tokenizer: CaptionTokenizer, extractor: dict[str, Any] | None = None
) -> RetrievalModule:
    """A fresh module, pretrained BERT weights included where a source is named."""
    settings = config["backbone"].get("bert")
    encoder = None if settings is None else _start_bert(settings, tokenizer)
    if encoder is not None and isinstance(tokenizer, WordPieceTokenizer):
        construct(
            "backbone.bert",
            require_tokens,
            config=encoder.config,
            vocabulary_size=tokenizer.vocabulary_size,
            pad_id=tokenizer.pad_id,
            maximum_length=tokenizer.maximum_length,
        )
    bert = None if encoder is None else bert_settings(encoder)
    return _kind(config)(config, region_width, tokenizer.state(), bert, extractor, encoder=encoder)


def rebuild_module(provenance: Provenance) -> tuple[RetrievalModule, CaptionTokenizer]:
    """The module of a checkpoint, its weights still random, and its tokenizer."""
    values = {name: value for name, value in vars(provenance).items() if name != "format"}
    module = _kind(provenance.config)(**values)
    return module, tokenizer_from_state(provenance.tokenizer)


def _kind(config: Config) -> type[RetrievalModule]:
    """The module under the name that users know it by."""
    kind: type[RetrievalModule] = BACKBONES[config["backbone"]["name"]].load_module()
    return kind


def require_described_sizes(path: Path, provenance: Provenance, weights: Mapping[str, Any]) -> None:
    """Refuse a checkpoint whose record asks for a larger model than its weights are, before memory is taken for it.

    Raises:
        UserError: naming the first parameter that differs.
    """
    for name, value in (provenance.bert or {}).items():
        if "layers" in name and isinstance(value, int) and value > len(weights):
            raise UserError(f"checkpoint {path}: its record has {value} {name}, the file {len(weights)} parameters")
    with torch.device("meta"):
        planned, _ = rebuild_module(provenance)
    for name, planned_values in planned.state_dict().items():
        if name in weights and planned_values.shape != getattr(weights[name], "shape", None):
            raise UserError(
                f"checkpoint {path}: weights do not fit its own configuration ({name} is "
                f"{tuple(planned_values.shape)} in the record)"
            )


def _start_bert(settings: Config, tokenizer: CaptionTokenizer) -> PreTrainedModel:
    if settings["source"] is not None:
        return load_bert(settings["source"])
    scratch = {"model_type": "bert", **settings["scratch"], "vocab_size": tokenizer.vocabulary_size}
    return build_bert(without(scratch, "vocabulary_size"))
