"""Groups of settings that every run has: data, training, devices."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from selfalign.settings.field import group, setting

PROTOCOLS = ("full", "coco_1k_5fold")
PRECISIONS = (
    "32-true",
    "16-mixed",
    "bf16-mixed",
    "16-true",
    "bf16-true",
    "64-true",
    "transformer-engine",
    "transformer-engine-float16",
    "64",
    "32",
    "16",
    "bf16",
)
Padding = Literal["masked", "paper"]
BOXES = ("pixels", "fractions")
GRID = re.compile(r"[1-9]\d?x[1-9]\d?")
"""Rows and columns."""


@dataclass(frozen=True)
class Scenes:
    """What to draw where the folder is missing."""

    seed: int = setting(0, at_least=0, doc="of the drawing")
    train: int = setting(2000, at_least=2, unit="images", doc="training split")
    dev: int = setting(200, at_least=1, unit="images", doc="validation split")
    test: int = setting(500, at_least=1, unit="images", doc="test split")


@dataclass(frozen=True)
class Data:
    """A data set, and how it is read."""

    root: str = setting(
        ask="give data.root=DIR, a folder in SCAN's layout",
        path=True,
        published=False,
        resumable=True,
        doc="folder in SCAN's layout",
    )
    scenes: Scenes | None = group(doc="draw it where the folder is missing; null: a data set of your own")
    images: str | None = setting(
        None,
        path=True,
        matters=False,
        doc="folder of the photographs that {split}_images.txt names, for pictures of examples",
    )
    boxes: str = setting(
        "pixels",
        matters=False,
        older="pixels",
        doc="fractions where they were divided by the images' width and height; a grid, as 7x7, whose cells they are",
    )
    train_split: str = setting("train", doc="name of the training split")
    further: list[str] = setting(
        [], path=True, doc="folders whose training splits are trained on, too; dev and test are those of data.root"
    )
    shares: list[float] = setting(
        [], above=0, doc="of data.root and the further folders in an epoch; none: as many pairs as each has captions"
    )
    val_split: str = setting("dev", doc="name of the validation split")
    test_split: str = setting("test", doc="name of the test split")
    protocol: list[str] = setting(["full"], one_of=PROTOCOLS, matters=False, doc="of the evaluation on the test split")
    training_captions: int | None = setting(
        None, at_least=2, unit="captions", doc="the first ones of the training split that are used; null: all"
    )
    validation_captions: int = setting(
        5000, at_least=1, unit="captions", doc="the first ones of the validation split that are used"
    )
    batch_size: int = setting(128, at_least=1, unit="pairs", doc="of all devices together")
    workers: int = setting(
        2, at_least=0, unit="processes", older=0, matters=False, resumable=True, doc="that load data"
    )
    resident: bool = setting(
        False, matters=False, resumable=True, doc="the training features stay on the GPU, where they fit"
    )

    def __post_init__(self) -> None:
        if self.boxes not in BOXES and not GRID.fullmatch(self.boxes):
            raise ValueError(f"boxes: expected {', '.join(BOXES)} or a grid as 7x7, got {self.boxes!r}")


@dataclass(frozen=True)
class Strategy:
    """Devices and arithmetic."""

    strategy: str = setting("auto", one_of=("auto", "ddp"), published=False, doc="auto: one device; ddp: several")
    accelerator: str = setting("auto", published=False, doc="cpu, gpu, mps, ...; auto: a GPU where there is one")
    devices: int | list[int] | str = setting(1, published=False, doc="how many, or which; -1: all")
    num_nodes: int = setting(1, at_least=1, published=False, unit="machines", doc="that train together")
    precision: str = setting("32-true", one_of=PRECISIONS, doc="of the arithmetic")
    limit_train_batches: int | float | None = setting(
        None, above=0, doc="what trainer.limit_train_batches does; of older runs"
    )


@dataclass(frozen=True)
class Training:
    """The schedule."""

    epochs: int = setting(30, at_least=1, unit="epochs", resumable=True, doc="passes over the training captions")
    learning_rate: float = setting(2e-4, above=0, doc="of Adam, at the start")
    decay_every: int = setting(
        10, at_least=1, unit="epochs", doc="after which the rate is multiplied by 0.1, again and again"
    )
    clip_norm: float = setting(2.0, at_least=0, doc="largest norm of the gradient; 0: any")
    validate_every: int = setting(
        500, at_least=1, unit="steps", doc="between two validations; each epoch ends in one too"
    )
    save_every: int = setting(
        500,
        at_least=1,
        unit="steps",
        matters=False,
        doc="between two states to resume from; the step before each validation too",
    )


@dataclass(frozen=True)
class Augmentation:
    """Changes of a training step's pairs; not of the paper."""

    regions: float = setting(0.0, at_least=0, below=1, doc="share of an image's regions left out, others each step")
    words: float = setting(
        0.0, at_least=0, below=1, doc="share of words that are hidden (half of them), replaced (a tenth) or deleted"
    )


@dataclass(frozen=True)
class Original:
    """For the authors' checkpoints (*.pth.tar)."""

    vocabulary: str | None = setting(None, path=True, doc="VSRN: the pickled vocabulary, or JSON")
    bert: str | None = setting(None, path=True, doc="CAMERA: the BERT folder")
    to: str | None = setting(None, path=True, doc="also write the checkpoint in this project's format")


Loggers = dict[str, Any]
