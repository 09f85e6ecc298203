"""The parts of a module from its plain settings: network, losses and what they read, optimisation, augmentation."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from selfalign.backbones.base import TwoTower
from selfalign.backbones.pooling.base import Pooling
from selfalign.data.text.tokenizers import CaptionTokenizer
from selfalign.engine.constructing import Config, construct, without
from selfalign.engine.modules.augmentation import SizeAugmentation
from selfalign.engine.modules.optimisation import Optimisation
from selfalign.engine.modules.readings import LossTerm
from selfalign.errors import UserError
from selfalign.settings import BACKBONES, LOSS_TERMS, OPTIMIZERS, POOLINGS, RANKING_LOSSES, SCHEDULES

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_POOLED = ("image_pooling", "text_pooling")
_NOT_THE_LOSS = ("name", "weight", "freeze_epochs")
"""Settings of a loss that its class does not take."""


def build_network(config: Config, region_width: int, vocabulary_size: int, encoder: PreTrainedModel | None) -> TwoTower:
    """The two towers, around BERT where there is one.

    Raises:
        UserError: naming the setting that does not fit.
    """
    backbone, loss = without(config["backbone"], "name"), config["loss"]
    network = BACKBONES[config["backbone"]["name"]].load()
    taken = inspect.signature(network).parameters
    # A group that the class does not name is for others: the tokenizer, the text encoder.
    settings = {name: value for name, value in backbone.items() if name in taken or not isinstance(value, dict)}
    for place in _POOLED:
        if place in backbone:
            settings[place] = build_pooling(backbone[place], backbone["width"])
    own = {f"bert_{name}": value for name, value in (backbone.get("bert") or {}).items()}
    known = own | {
        "region_width": region_width,
        "padding": config["padding"],
        "towers": loss["towers"],
        "context": _weight(loss, "context") > 0,
        "vocabulary_size": vocabulary_size,
        "bert": encoder,
    }
    settings |= {name: value for name, value in known.items() if name in taken}
    return construct("backbone", network, **settings)


def build_pooling(name: str, width: int) -> Pooling | None:
    """The pooling of that name for vectors of ``width``; ``None`` for ``published``, which the tower has itself."""
    return None if name == "published" else POOLINGS[name].load().of_width(width)


def build_losses(loss: Config, width: int, vocabulary_size: int) -> dict[str, LossTerm]:
    """The losses whose weight is not 0, by name.

    Raises:
        UserError: naming the setting that does not fit.
    """
    rows = {"ranking": RANKING_LOSSES[loss["ranking"].get("name", "hinge")], **{row.name: row for row in LOSS_TERMS}}
    wanted = [name for name in rows if name in loss and _weight(loss, name) > 0]
    if not wanted:
        raise UserError("loss: every weight is 0; there is nothing to train")
    sizes = {"width": width, "vocabulary_size": vocabulary_size}
    terms = {}
    for name in wanted:
        kind, settings = rows[name].load(), without(loss[name], *_NOT_THE_LOSS)
        taken = inspect.signature(kind).parameters
        known = {size: value for size, value in sizes.items() if size in taken}
        terms[name] = LossTerm(
            construct(f"loss.{name}", kind, **known, **settings), _weight(loss, name), rows[name].reads
        )
    return terms


def build_optimisation(config: Config) -> Optimisation:
    """Optimiser and schedule; a configuration from before there was a choice is the published way.

    Raises:
        UserError: naming the setting that does not fit.
    """
    training = config["training"]
    optimizer = dict(config.get("optimizer") or {"name": "adam"})
    scheduler = dict(config.get("scheduler") or {"name": "step"})
    warm_up = scheduler.pop("warm_up_steps", 0)
    schedule = SCHEDULES[scheduler.pop("name")].load()
    if "decay_every" in inspect.signature(schedule).parameters:
        scheduler["decay_every"] = training["decay_every"]
    return construct(
        "training",
        Optimisation,
        learning_rate=training["learning_rate"],
        schedule=construct("scheduler", schedule, **scheduler),
        prototype_freeze_epochs=config["loss"]["concept"]["freeze_epochs"],
        optimizer=OPTIMIZERS[optimizer.pop("name")].load(),
        bert_rate=optimizer.pop("bert_rate", 1.0),
        word_rate=optimizer.pop("word_rate", 1.0),
        settings=optimizer,
        warm_up_steps=warm_up,
        max_steps=(config.get("trainer") or {}).get("max_steps"),
    )


def build_augmentation(config: Config, tokenizer: CaptionTokenizer) -> SizeAugmentation | None:
    """What changes the pairs of a training step; ``None`` where nothing does."""
    shares = config.get("augmentation") or {}
    return SizeAugmentation(**shares, tokenizer=tokenizer) if any(shares.values()) else None


def _weight(loss: Config, name: str) -> float:
    return float(loss[name]["weight"])
