"""The parts of a module from its plain settings: network, losses and what they read, optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from selfalign.backbones.base import TwoTower
from selfalign.backbones.camera import Camera
from selfalign.backbones.vsrn import Vsrn
from selfalign.engine.constructing import Config, construct, require_known, without
from selfalign.engine.modules.optimisation import Optimisation
from selfalign.engine.modules.readings import LossTerm
from selfalign.errors import UserError
from selfalign.losses.captioning import CaptioningLoss
from selfalign.losses.concept_alignment import ConceptAlignmentLoss
from selfalign.losses.context_alignment import ContextAlignmentLoss
from selfalign.losses.diversity import DiversityLoss
from selfalign.losses.ranking import RankingLoss

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_TRAINING_SETTINGS = {"epochs", "learning_rate", "decay_every", "clip_norm", "validate_every", "save_every"}
_BERT_SETTINGS = {"source", "frozen", "dropout", "maximum_length", "scratch", "cache"}


@dataclass(frozen=True)
class _Kind:
    """A loss: its class, what it reads, and which sizes of the model it takes."""

    builds: type
    reads: tuple[str, ...]
    sizes: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ("weight",)


_LOSSES = {
    "ranking": _Kind(RankingLoss, ("similarity", "image_ids", "epoch")),
    "concept": _Kind(
        ConceptAlignmentLoss,
        ("image_concepts", "caption_concepts", "caption_mask", "processes"),
        ("width",),
        ("weight", "freeze_epochs"),
    ),
    "context": _Kind(ContextAlignmentLoss, ("image_context", "caption_context")),
    "diversity": _Kind(DiversityLoss, ("region_weights",)),
    "captioning": _Kind(CaptioningLoss, ("graph", "caption_tokens", "caption_lengths"), ("width", "vocabulary_size")),
}


def build_network(config: Config, region_width: int, vocabulary_size: int, encoder: PreTrainedModel | None) -> TwoTower:
    """The two towers, around BERT where there is one.

    Raises:
        UserError: naming the setting that does not fit.
    """
    backbone, loss = dict(config["backbone"]), config["loss"]
    name = backbone.pop("name", None)
    if name not in ("camera", "vsrn"):
        raise UserError(f"backbone.name: expected one of camera, vsrn, got {name!r}")
    shared = {
        "region_width": region_width,
        "padding": config["padding"],
        "towers": loss["towers"],
        "context": _weight(loss, "context") > 0,
    }
    if encoder is not None:
        settings = backbone.pop("bert")
        require_known("backbone.bert", settings, _BERT_SETTINGS)
        return construct(
            "backbone",
            Camera,
            bert=encoder,
            bert_frozen=settings["frozen"],
            bert_dropout=settings["dropout"],
            **backbone,
            **shared,
        )
    backbone.pop("vocabulary")
    return construct("backbone", Vsrn, vocabulary_size=vocabulary_size, **backbone, **shared)


def build_losses(loss: Config, width: int, vocabulary_size: int) -> dict[str, LossTerm]:
    """The losses whose weight is not 0, by name.

    Raises:
        UserError: naming the setting that does not fit.
    """
    require_known("loss", loss, {*_LOSSES, "towers"})
    wanted = [name for name in _LOSSES if name in loss and _weight(loss, name) > 0]
    if not wanted:
        raise UserError("loss: every weight is 0; there is nothing to train")
    known = {"width": width, "vocabulary_size": vocabulary_size}
    terms = {}
    for name in wanted:
        kind = _LOSSES[name]
        sizes: dict[str, Any] = {size: known[size] for size in kind.sizes}
        module = construct(f"loss.{name}", kind.builds, **sizes, **without(loss[name], *kind.elsewhere))
        terms[name] = LossTerm(module, _weight(loss, name), kind.reads)
    return terms


def build_optimisation(config: Config) -> Optimisation:
    """Optimiser and schedule; a configuration from before there was a choice is the published way.

    Raises:
        UserError: naming the setting that does not fit.
    """
    training, optimizer, scheduler = (dict(config.get(name, {})) for name in ("training", "optimizer", "scheduler"))
    require_known("training", training, _TRAINING_SETTINGS)
    return construct(
        "training",
        Optimisation,
        learning_rate=training["learning_rate"],
        decay_every=training["decay_every"],
        prototype_freeze_epochs=config["loss"]["concept"]["freeze_epochs"],
        optimizer=optimizer.pop("name", "adam"),
        schedule=scheduler.pop("name", "step"),
        max_steps=(config.get("trainer") or {}).get("max_steps"),
        **optimizer,
        **scheduler,
    )


def _weight(loss: Config, name: str) -> float:
    weight = loss[name]["weight"]
    if not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
        raise UserError(f"loss.{name}.weight: expected a finite number of at least 0, got {weight!r}")
    return float(weight)
