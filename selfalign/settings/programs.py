"""Everything that the programs take: of a training run, which its checkpoints keep, and of an evaluation."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, make_dataclass
from typing import Any, Literal

from selfalign.settings.axes import BACKBONES, LOSS_TERMS
from selfalign.settings.field import group, setting
from selfalign.settings.groups import PROTOCOLS, Augmentation, Data, Loggers, Original, Padding, Strategy, Training
from selfalign.settings.lightning import Callbacks, Trainer

_BACKBONE = "camera"
"""Where none is named."""


@dataclass(frozen=True)
class Loss:
    """What is trained; the terms of the backbone come to it."""

    towers: Literal["selfalign", "original"] = setting("selfalign", in_name=True, doc="original: exactly VSRN / CAMERA")
    ranking: Any = setting("hinge", axis="loss.ranking", in_name=True, doc="how right pairs are told from wrong ones")


def loss_with(values: Mapping[str, Any]) -> type:
    """:class:`Loss` with the terms of the backbone among ``values``."""
    given = values.get("backbone", _BACKBONE)
    name = given.get("name", _BACKBONE) if isinstance(given, Mapping) else given
    own = BACKBONES[name].losses
    terms = tuple((row.name, row.settings) for row in LOSS_TERMS if not row.own or row.name in own)
    return _loss(terms)


@functools.cache
def _loss(terms: tuple[tuple[str, type], ...]) -> type:
    fields = [(name, settings, group()) for name, settings in terms]
    return make_dataclass("Loss", fields, bases=(Loss,), frozen=True)


@dataclass(frozen=True)
class TrainingRun:
    """train.py's settings."""

    data: Data = group(doc="the data set")
    backbone: Any = setting(_BACKBONE, axis="backbone", in_name=True, doc="the network")
    loss: Loss = group(group_for=loss_with, doc="what is trained")
    optimizer: Any = setting("adam", axis="optimizer", doc="what steps")
    scheduler: Any = setting("step", axis="scheduler", doc="how the learning rate goes on")
    trainer: Trainer = group(doc="Lightning's")
    callbacks: Callbacks = group(doc="besides those of every run")
    strategy: Strategy = group(resumable=True, doc="devices")
    logger: Loggers = group(table=True, resumable=True, matters=False, doc="besides metrics.csv")
    training: Training = group(doc="the schedule")
    augmentation: Augmentation = group(doc="of the pairs of a training step")
    seed: int = setting(
        1024, at_least=0, at_most=2**32 - 1, matters=False, may_be_unknown=True, doc="of everything random"
    )
    init_from: str | None = setting(None, path=True, doc="a checkpoint whose weights a new run starts with")
    init_words: str = setting(
        "carried",
        one_of=("carried", "extended"),
        doc="with init_from: the checkpoint's words as they are, or with those of the training captions behind them",
    )
    compile: bool = setting(
        False, matters=False, doc="torch.compile of both towers; pays on a GPU after its first steps"
    )
    padding: Padding = setting(
        "masked", doc="masked: an embedding never depends on its batch; paper: as the released code"
    )


@dataclass(frozen=True)
class Evaluation:
    """eval.py's settings."""

    checkpoints: list[str] = setting(
        ask=(
            "name a run's folder or a checkpoint, or several for an ensemble, as python eval.py checkpoints=RUN or "
            "checkpoints=RUN,OTHER_RUN"
        ),
        doc="folders of runs, whose best checkpoint is meant, or files; two or more are an ensemble",
    )
    split: str | None = setting(None, doc="null: the test split of the first checkpoint's data")
    protocol: list[str] | None = setting(None, one_of=PROTOCOLS, doc="null: as the first checkpoint's data say")
    save_embeddings: bool = setting(False, doc="embeddings.safetensors beside results.json")
    save_answers: int = setting(0, at_least=0, doc="first answers of every query that answers.npz keeps; 0: none")
    trec: bool = setting(False, doc="the kept answers as TREC's run and qrels files too")
    padding: Padding | None = setting(None, doc="null: as trained")
    data: Data = group(partial=True, doc="null: as trained")
    strategy: Strategy = group(doc="devices")
    original: Original = group(doc="for the authors' checkpoints (*.pth.tar)")

    def __post_init__(self) -> None:
        if self.trec and not self.save_answers:
            raise ValueError("trec: expected save_answers=K beside it, the answers that the files hold, got none")
