"""The step of a run that gave no number, as a file."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from selfalign.errors import UserError
from selfalign.files.torch_files import read_torch_file
from selfalign.files.whole_files import whole_file
from selfalign.structures import CaptionBatch, ImageBatch, PairBatch


@dataclass(frozen=True)
class Reproduction:
    """What one training step depends on.

    Attributes:
        provenance: of the module, as in checkpoints.
        weights: its state before the step.
        batch: of this process.
        random: state of the CPU's generator before the step.
        step: optimiser steps before it.
        epoch: from 0.
    """

    provenance: dict[str, Any]
    weights: dict[str, Tensor]
    batch: PairBatch
    random: Tensor
    step: int
    epoch: int


def save_reproduction(path: Path, step: Reproduction) -> None:
    """Write it as tensors and plain values."""
    with whole_file(path) as place:
        torch.save({"selfalign_step": {field.name: _plain(getattr(step, field.name)) for field in fields(step)}}, place)


def read_reproduction(path: Path) -> Reproduction:
    """Read it; runs no code from the file.

    Raises:
        UserError: if it is damaged or something else.
    """
    content = read_torch_file(path, "reproducer")
    try:
        record = content["selfalign_step"]
        batch = record["batch"]
        pairs = PairBatch(ImageBatch(**batch["images"]), CaptionBatch(**batch["captions"]))
        return Reproduction(**(record | {"batch": pairs}))
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"reproducer {path}: not one that a training run left ({error})") from error


def _plain(value: Any) -> Any:
    """Dataclasses as dictionaries, all tensors on the CPU."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value.detach().cpu() if isinstance(value, Tensor) else value
