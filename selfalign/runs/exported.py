"""A trained model as a folder for others: ``model.safetensors``, ``config.json`` and a model card. Never a pickle."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from selfalign.errors import UserError
from selfalign.files.plain_values import without_places
from selfalign.files.whole_files import whole_file, write_whole
from selfalign.runs.checkpoint import Provenance, provenance_from

WEIGHTS, BLUEPRINT, CARD = "model.safetensors", "config.json", "README.md"


def write_exported(folder: Path, provenance: Provenance, weights: dict[str, Tensor], card: str) -> None:
    """Write the folder.

    Args:
        folder: made where it is missing; its files of these names are replaced.
        provenance: of the model.
        weights: its state.
        card: the model card, in Markdown.

    Raises:
        UserError: if the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(folder / WEIGHTS) as place:
            save_file({name: values.contiguous() for name, values in weights.items()}, place)
        write_whole(folder / BLUEPRINT, json.dumps({"selfalign": portable(provenance).to_dict()}, indent=1) + "\n")
        write_whole(folder / CARD, card)
    except OSError as error:
        raise UserError(f"export {folder}: cannot be written ({error.strerror or error})") from error


def blueprint_from(content: bytes, path: Path) -> Provenance:
    """The provenance in a ``config.json``.

    Raises:
        UserError: if it is not one of ours, or damaged.
    """
    try:
        record = json.loads(content)["selfalign"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"model {path}: not written by selfalign export ({type(error).__name__})") from error
    return provenance_from(record, f"model {path}")


def portable(provenance: Provenance) -> Provenance:
    """The same without where things lay on the machine that trained it: of an absolute path its last name stays."""
    config, extractor = without_places(provenance.config), without_places(provenance.extractor)
    return replace(provenance, config=config, extractor=extractor)
