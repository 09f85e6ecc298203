"""What a checkpoint carries besides weights: plain values from which eval.py rebuilds everything."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from selfalign.errors import UserError
from selfalign.files.torch_files import read_torch_file

FORMAT = 1


@dataclass(frozen=True)
class Provenance:
    """Plain values that rebuild a module and its data.

    Attributes:
        config: the resolved configuration of the run.
        region_width: F of the training features.
        tokenizer: state of the caption tokenizer, with its vocabulary.
        bert: settings of the BERT model, ``None`` for models without one.
        format: version of this record.
    """

    config: dict[str, Any]
    region_width: int
    tokenizer: dict[str, Any]
    bert: dict[str, Any] | None
    format: int = FORMAT

    def to_dict(self) -> dict[str, Any]:
        """Plain values only: anything else could not be loaded again without running code."""
        return asdict(self)


def read_checkpoint(path: Path) -> tuple[Provenance, dict[str, Any]]:
    """Provenance and weights of a checkpoint that train.py wrote; runs no code from the file.

    Raises:
        UserError: if the file is missing, damaged, or not one of ours.
    """
    content = read_torch_file(path, "checkpoint", memory_map=True)
    record = content.get("selfalign") if isinstance(content, dict) else None
    if not isinstance(record, dict) or not isinstance(content.get("state_dict"), dict):
        raise UserError(f"checkpoint {path}: not written by train.py (no 'selfalign' record in it)")
    return provenance_from(record, f"checkpoint {path}"), content["state_dict"]


def provenance_from(record: Any, where: str) -> Provenance:
    """A provenance of plain values that came from a file.

    Raises:
        UserError: if it is of another version, or damaged.
    """
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        found = record.get("format") if isinstance(record, dict) else type(record).__name__
        raise UserError(f"{where}: format {found}, this version reads {FORMAT}")
    if problem := _damage(record):
        raise UserError(f"{where}: its record is damaged ({problem})")
    return Provenance(**record)


def _damage(record: dict[str, Any]) -> str | None:
    """What keeps a record from being a provenance; ``None`` if nothing does."""
    names = {field.name for field in fields(Provenance)}
    if set(record) != names:
        return f"{min(map(str, set(record) ^ names))!r} is missing or unknown"
    kinds = {"config": dict, "region_width": int, "tokenizer": dict, "bert": dict | None}
    wrong = next((name for name, kind in kinds.items() if not isinstance(record[name], kind)), None)
    return None if wrong is None else f"{wrong} is {type(record[wrong]).__name__}"


def write_checkpoint(path: Path, provenance: Provenance, weights: dict[str, Any]) -> None:
    """Write weights with their record, as :func:`read_checkpoint` reads them; nobody ever sees half a file.

    Raises:
        UserError: if the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        torch.save({"state_dict": weights, "selfalign": provenance.to_dict()}, temporary)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"checkpoint {path}: cannot be written ({str(error)[:160]})") from error
