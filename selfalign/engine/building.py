"""Plain configuration → tokenizer, data and module. No Hydra here: eval.py builds from a checkpoint's own record."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from selfalign.backbones.base import TwoTower
from selfalign.backbones.bert import bert_settings, build_bert, load_bert
from selfalign.backbones.camera import Camera
from selfalign.backbones.caption_decoder import RegionCaptioner
from selfalign.backbones.linear import LinearTwoTower
from selfalign.backbones.pooling.base import Pooling
from selfalign.backbones.vsrn import Vsrn
from selfalign.data.datamodule import RetrievalDataModule, require_three_splits
from selfalign.data.layout import find_split, require_distinct_files
from selfalign.data.text.captions import read_captions
from selfalign.data.text.kept_text import kept_vocabulary
from selfalign.data.text.tokenizers import CaptionTokenizer, WordPieceTokenizer, WordTokenizer, tokenizer_from_state
from selfalign.data.text.vocabulary import Vocabulary
from selfalign.engine.modules.camera_module import CameraModule
from selfalign.engine.modules.retrieval import Optimisation, RetrievalModule
from selfalign.engine.modules.vsrn_module import VsrnModule
from selfalign.errors import UserError
from selfalign.losses.concept_alignment import ConceptAlignmentLoss
from selfalign.losses.context_alignment import ContextAlignmentLoss
from selfalign.losses.diversity import DiversityLoss
from selfalign.losses.words import WordContrastLoss
from selfalign.runs.checkpoint import Provenance
from selfalign.settings.axes import BACKBONES, POOLINGS, RANKING_LOSSES

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Config = dict[str, Any]
Built = TypeVar("Built")

_MODULES: dict[str, type[RetrievalModule]] = {"camera": CameraModule, "vsrn": VsrnModule}
_POOLED = ("image_pooling", "text_pooling")


def construct(where: str, factory: Callable[..., Built], **values: Any) -> Built:
    """``factory(**values)`` whose unknown, missing or refused settings are named by where they stand.

    Raises:
        UserError: in one line.
    """
    try:
        inspect.signature(factory).bind(**values)
    except TypeError as error:
        raise UserError(f"{where}: {error}") from error
    try:
        return factory(**values)
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"{where}.{error}") from error


def without(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """``settings`` less ``names``."""
    return {name: value for name, value in settings.items() if name not in names}


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
        return captions[: data["training_captions"]]

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
    bert = config["backbone"].get("bert")
    pad_to = bert["maximum_length"] if bert is not None and config["padding"] == "paper" else None
    settings = without(config["data"], "scenes", "protocol", "root", "images")
    return construct(
        "data",
        RetrievalDataModule,
        root=Path(config["data"]["root"]),
        tokenizer=tokenizer,
        boxes=BACKBONES[config["backbone"]["name"]].boxes,
        seed=config["seed"] or 0,  # a converted checkpoint of the authors tells none; nothing is shuffled then
        by_length=config["padding"] == "masked",
        pad_to=pad_to,
        report=report,
        **settings,
    )


def build_module(config: Config, region_width: int, tokenizer: CaptionTokenizer) -> RetrievalModule:
    """A fresh module, pretrained BERT weights included where a source is named."""
    bert = _start_bert(config["backbone"]["bert"], tokenizer) if "bert" in config["backbone"] else None
    provenance = Provenance(
        config=config,
        region_width=region_width,
        tokenizer=tokenizer.state(),
        bert=None if bert is None else bert_settings(bert),
    )
    return _assemble(provenance, tokenizer, bert)


def rebuild_module(provenance: Provenance) -> tuple[RetrievalModule, CaptionTokenizer]:
    """The module of a checkpoint, its weights still random, and its tokenizer."""
    tokenizer = tokenizer_from_state(provenance.tokenizer)
    bert = None if provenance.bert is None else build_bert(provenance.bert)
    return _assemble(provenance, tokenizer, bert), tokenizer


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


def _assemble(provenance: Provenance, tokenizer: CaptionTokenizer, bert: PreTrainedModel | None) -> RetrievalModule:
    config = provenance.config
    loss, training, name = config["loss"], config["training"], config["backbone"]["name"]
    network = _network(config, provenance.region_width, tokenizer.vocabulary_size, bert)
    extra = {"maximum_caption": loss["captioning"]["maximum_length"]} if name == "vsrn" else {}
    losses = build_losses(loss, network.width, tokenizer.vocabulary_size)
    return _MODULES.get(name, RetrievalModule)(
        network,
        losses,
        {term: _weight(loss, term) for term in losses},
        construct(
            "training",
            Optimisation,
            learning_rate=training["learning_rate"],
            decay_every=training["decay_every"],
            prototype_freeze_epochs=loss["concept"]["freeze_epochs"],
            cosine=training["cosine"],
            warm_up=training["warm_up"],
            word_table_rate=training["word_table_rate"],
        ),
        provenance.to_dict(),
        **extra,
    )


def _network(config: Config, region_width: int, vocabulary_size: int, bert: PreTrainedModel | None) -> TwoTower:
    """The two towers."""
    loss = config["loss"]
    settings = without(config["backbone"], "name", "bert", "vocabulary", *_POOLED)
    settings |= {"region_width": region_width, "padding": config["padding"]}
    if config["backbone"]["name"].startswith("linear"):
        return construct("backbone", LinearTwoTower, bert=bert, vocabulary_size=vocabulary_size, **settings)
    for place in _POOLED:
        settings[place] = build_pooling(config["backbone"][place], settings["width"])
    settings |= {"towers": loss["towers"], "context": _weight(loss, "context") > 0}
    if bert is None:
        return construct("backbone", Vsrn, vocabulary_size=vocabulary_size, **settings)
    own = config["backbone"]["bert"]
    return construct(
        "backbone",
        Camera,
        bert=bert,
        bert_frozen=own["frozen"],
        bert_dropout=own["dropout"],
        bert_window=own["window"],
        **settings,
    )


def build_pooling(name: str, width: int) -> Pooling | None:
    """The pooling of that name for vectors of ``width``; ``None`` for ``published``, which the tower has itself."""
    return None if name == "published" else POOLINGS[name].load().of_width(width)


def build_losses(loss: Config, width: int, vocabulary_size: int) -> dict[str, nn.Module]:
    """The losses whose weight is not 0, by name."""
    factories: dict[str, Callable[[dict[str, Any]], nn.Module]] = {
        "ranking": lambda settings: construct(
            "loss.ranking", RANKING_LOSSES[settings.get("name", "hinge")].load(), **without(settings, "name")
        ),
        "words": lambda settings: construct("loss.words", WordContrastLoss, **settings),
        "concept": lambda settings: construct(
            "loss.concept", ConceptAlignmentLoss, width=width, **without(settings, "freeze_epochs")
        ),
        "context": lambda settings: construct("loss.context", ContextAlignmentLoss, **settings),
        "diversity": lambda settings: construct("loss.diversity", DiversityLoss, **settings),
        "captioning": lambda settings: construct(
            "loss.captioning",
            RegionCaptioner,
            width=width,
            vocabulary_size=vocabulary_size,
            **without(settings, "maximum_length"),
        ),
    }
    wanted = [name for name in factories if name in loss and _weight(loss, name) > 0]
    if not wanted:
        raise UserError("loss: every weight is 0; there is nothing to train")
    return {name: factories[name](without(loss[name], "weight")) for name in wanted}


def _weight(loss: Config, name: str) -> float:
    return float(loss[name]["weight"])
