"""What a checkpoint carries besides weights: plain values from which eval.py rebuilds everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from selfalign.errors import UserError, shown
from selfalign.files.torch_files import read_torch_file
from selfalign.files.whole_files import whole_file
from selfalign.settings import TrainingRun, checked

FORMAT = 1


@dataclass(frozen=True)
class Provenance:
    """Plain values that rebuild a module and its data.

    Attributes:
        config: the resolved configuration of the run.
        region_width: F of the training features.
        tokenizer: state of the caption tokenizer, with its vocabulary.
        bert: settings of the BERT model, ``None`` for models without one.
        extractor: record of what made the training features; ``None`` where nothing told it, as of SCAN's files.
        format: version of this record.
    """

    config: dict[str, Any]
    region_width: int
    tokenizer: dict[str, Any]
    bert: dict[str, Any] | None
    extractor: dict[str, Any] | None = None
    format: int = FORMAT

    def to_dict(self) -> dict[str, Any]:
        """Plain values only: anything else could not be loaded again without running code."""
        values = asdict(self)
        if self.extractor is None:
            del values["extractor"]  # as in checkpoints from before there was one
        return values


def read_checkpoint(path: Path) -> tuple[Provenance, dict[str, Any]]:
    """Provenance and weights of a checkpoint that train.py wrote; runs no code from the file.

    Raises:
        UserError: if the file is missing, damaged, or not one of ours.
    """
    return checked_checkpoint(path, read_torch_file(path, "checkpoint", memory_map=True))


def checked_checkpoint(path: Path, content: Any) -> tuple[Provenance, dict[str, Any]]:
    """:func:`read_checkpoint` of a file that is read already.

    Raises:
        UserError: if it is not one of ours, or a weight in it is no number.
    """
    record = content.get("selfalign") if isinstance(content, dict) else None
    if not isinstance(record, dict) or not isinstance(content.get("state_dict"), dict):
        raise UserError(f"checkpoint {path}: not written by train.py (no 'selfalign' record in it)")
    provenance = provenance_from(record, f"checkpoint {path}")
    return provenance, checked_weights(path, content["state_dict"])


def provenance_from(record: Any, where: str) -> Provenance:
    """A provenance of plain values that came from a file.

    Raises:
        UserError: if it is of another version, or damaged.
    """
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        found = record.get("format") if isinstance(record, dict) else type(record).__name__
        raise UserError(f"{where}: format {shown(found)}, this version reads {FORMAT}")
    if problem := _damage(record):
        raise UserError(f"{where}: its record is damaged ({problem})")
    try:
        config = checked(record["config"], TrainingRun, record=True)
    except UserError as error:
        raise UserError(f"{where}: its record is damaged, or of a later version ({error})") from error
    return Provenance(**(record | {"config": config}))


def checked_weights(path: Path, weights: Mapping[Any, Any]) -> dict[str, Any]:
    """Weights of a checkpoint as this package computes with them: fp32.

    Half precision is widened exactly; what trained in fp64 (``strategy.precision=64-true``) is rounded.

    Raises:
        UserError: if one of them is no number, or of a type that a model of this package never has.
    """
    found: dict[str, Any] = {}
    for name, values in weights.items():
        where = f"checkpoint {path}: weight {str(name)[:80]}"
        if not isinstance(values, torch.Tensor) or values.is_meta or values.layout != torch.strided:
            raise UserError(f"{where} is no tensor of values")
        if values.dtype in (torch.float16, torch.bfloat16, torch.float64):
            values = values.float()
        if values.is_complex() or (values.is_floating_point() and values.dtype != torch.float32):
            raise UserError(f"{where} is {values.dtype}; expected torch.float32, float64, bfloat16 or float16")
        if values.is_floating_point() and not bool(torch.isfinite(values).all()):
            raise UserError(f"{where} holds values that are no numbers (NaN or infinite); take an earlier checkpoint")
        found[str(name)] = values
    return found


def _damage(record: dict[str, Any]) -> str | None:
    """What keeps a record from being a provenance; ``None`` if nothing does."""
    names = {field.name for field in fields(Provenance)}
    if set(record) | {"extractor"} != names:
        return f"{min(map(shown, (set(record) | {'extractor'}) ^ names))} is missing or unknown"
    kinds = {"config": dict, "region_width": int, "tokenizer": dict, "bert": dict | None, "extractor": dict | None}
    wrong = next((name for name, kind in kinds.items() if not isinstance(record.get(name), kind)), None)
    return None if wrong is None else f"{wrong} is {type(record[wrong]).__name__}"


def write_checkpoint(path: Path, provenance: Provenance, weights: dict[str, Any]) -> None:
    """Write weights with their record, as :func:`read_checkpoint` reads them; nobody ever sees half a file.

    Raises:
        UserError: if the file cannot be written.
    """
    try:
        with whole_file(path) as place:
            torch.save({"state_dict": weights, "selfalign": provenance.to_dict()}, place)
    except (OSError, RuntimeError) as error:
        raise UserError(f"checkpoint {path}: cannot be written ({str(error)[:160]})") from error
