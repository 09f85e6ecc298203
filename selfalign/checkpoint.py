"""What a checkpoint carries besides weights: plain values from which eval.py rebuilds everything."""

from __future__ import annotations

import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from selfalign.errors import UserError

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
    if not path.is_file():
        raise UserError(f"checkpoint {path}: no such file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = (str(error).strip() or type(error).__name__).split("\n")[0][:200]
        raise UserError(f"checkpoint {path}: cannot be read ({reason}); it is damaged or of another program") from error
    record = content.get("selfalign") if isinstance(content, dict) else None
    if not isinstance(record, dict) or not isinstance(content.get("state_dict"), dict):
        raise UserError(f"checkpoint {path}: not written by train.py (no 'selfalign' record in it)")
    if record.get("format") != FORMAT:
        raise UserError(f"checkpoint {path}: format {record.get('format')}, this version reads {FORMAT}")
    return Provenance(**record), content["state_dict"]
