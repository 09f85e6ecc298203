"""A trained model as a folder for others: ``model.safetensors``, ``config.json`` and a model card. Never a pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from selfalign.errors import UserError
from selfalign.files.whole_files import whole_file, write_whole
from selfalign.runs.checkpoint import Provenance, provenance_from

WEIGHTS, BLUEPRINT, CARD = "model.safetensors", "config.json", "README.md"


def write_exported(
    folder: Path, provenance: Provenance, weights: dict[str, Tensor], results: dict[str, Any] | None
) -> None:
    """Write the folder.

    Args:
        folder: made where it is missing; its files of these names are replaced.
        provenance: of the model.
        weights: its state.
        results: what ``results.json`` of the run holds, for the model card; ``None`` where there is none.

    Raises:
        UserError: if the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(folder / WEIGHTS) as place:
            save_file({name: values.contiguous() for name, values in weights.items()}, place)
        write_whole(folder / BLUEPRINT, json.dumps({"selfalign": provenance.to_dict()}, indent=1) + "\n")
        write_whole(folder / CARD, model_card(provenance, results))
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


def model_card(provenance: Provenance, results: dict[str, Any] | None) -> str:
    """What the model is, how good, and how to load it, in Markdown; the licence is left to who publishes it."""
    config = provenance.config
    lines = [
        "---",
        "library_name: selfalign",
        "tags: [image-text-retrieval]",
        "license: other  # fill in: that of your data and features binds the weights",
        "---",
        "",
        f"# {config['backbone']['name']} on {Path(config['data']['root']).name}",
        "",
        f"Two towers for image-text retrieval, trained on {provenance.region_width}-wide region features. Features of "
        "another extractor will not do.",
        "",
        "```python",
        "import selfalign",
        'model = selfalign.load("this folder or its hub name")',
        'captions = model.encode_captions(["a dog runs on the beach"])',
        "```",
        "",
    ]
    if results is not None:
        for name, found in results["protocols"].items():
            recalls = (" ".join(f"{found[side][r]:.1f}" for r in ("r1", "r5", "r10")) for side in ("i2t", "t2i"))
            lines.append(
                f"Split {results['split']}, protocol {name}, seed {results['seed']}: R@1/5/10 image to text · text to "
                f"image {' · '.join(recalls)}, sum {found['rsum']:.1f}."
            )
    lines += ["", "Setting:", "", "```json", json.dumps(config, indent=1), "```", ""]
    return "\n".join(lines)
