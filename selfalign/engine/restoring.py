"""Saved models → modules in evaluation mode: checkpoints, run folders, exported folders, names at a hub."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, uint8

from selfalign.data.text.tokenizers import CaptionTokenizer
from selfalign.engine.building import padded_length, rebuild_module, require_described_sizes
from selfalign.engine.modules.retrieval import RetrievalModule
from selfalign.errors import UserError
from selfalign.files.regular_files import read_regular
from selfalign.runs.checkpoint import Provenance, checked_weights, read_checkpoint
from selfalign.runs.exported import BLUEPRINT, WEIGHTS, blueprint_from, portable
from selfalign.settings import BACKBONES

_LARGEST_BLUEPRINT = 64 * 2**20
_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_FILES = (".ckpt", ".pt", ".pth", ".tar", ".safetensors", ".json")


@dataclass(frozen=True, eq=False)
class Restored:
    """A trained model.

    Attributes:
        module: in evaluation mode, on the CPU.
        tokenizer: of its captions.
        provenance: from which it was rebuilt.
        source: the file that it was read from.
        origin: what :func:`restore` takes to find it again: an absolute path, or a hub's name.
    """

    module: RetrievalModule
    tokenizer: CaptionTokenizer
    provenance: Provenance
    source: Path
    origin: str

    @property
    def needs_boxes(self) -> bool:
        """Whether its image tower reads where regions are."""
        return BACKBONES[self.provenance.config["backbone"]["name"]].boxes

    @property
    def padded_length(self) -> int | None:
        """Fixed width of caption batches under ``padding=paper``; ``None`` for the longest of each batch."""
        return padded_length(self.provenance.config)

    @property
    def identity(self) -> str:
        """SHA-256 of its settings and weights: two models with one identity give the same embeddings.

        Where its data and their extractor lay does not count, so that an exported model is the one that it was exported
        from.
        """
        told = replace(portable(self.provenance), extractor=None).to_dict()
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
        for name, values in sorted(self.module.state_dict().items()):
            digest.update(name.encode())
            digest.update(values.detach().cpu().contiguous().flatten().view(dtype=uint8).numpy().data)
        return digest.hexdigest()


_Read = tuple[RetrievalModule, CaptionTokenizer, Provenance, Path]


def restore(source: str | Path) -> Restored:
    """A trained model.

    Args:
        source: a run folder, a checkpoint of train.py, a folder of ``selfalign export``, or a hub's ``user/name``.

    Raises:
        UserError: if it is none of these, or damaged.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        run = path / "checkpoints" / "best.ckpt"
        found = _of_folder(path) if (path / BLUEPRINT).is_file() else _of_checkpoint(run if run.is_file() else path)
        return Restored(*found, origin=str(path.resolve()))
    if path.exists() or not _is_hub_name(str(source)):
        return Restored(*_of_checkpoint(path), origin=str(path.resolve()))
    return Restored(*_of_folder(_downloaded(str(source))), origin=str(source))


def _of_checkpoint(path: Path) -> _Read:
    if path.is_dir():
        raise UserError(f"model {path}: holds neither checkpoints/best.ckpt (of a run) nor {BLUEPRINT} (of an export)")
    return _restored(path, *read_checkpoint(path))


def _of_folder(folder: Path) -> _Read:
    path = folder / WEIGHTS
    provenance = blueprint_from(read_regular(folder / BLUEPRINT, "model", _LARGEST_BLUEPRINT), folder / BLUEPRINT)
    try:
        weights = load_file(path)
    except Exception as error:  # the library raises types of its own
        raise UserError(f"model {path}: cannot be read ({' '.join(str(error).split())[:160]})") from error
    return _restored(path, provenance, checked_weights(path, weights))


def _restored(path: Path, provenance: Provenance, weights: dict[str, Tensor]) -> _Read:
    require_described_sizes(path, provenance, weights)
    module, tokenizer = rebuild_module(provenance)
    try:
        module.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"model {path}: weights do not fit its own configuration ({reason})") from error
    module.eval().requires_grad_(False)
    return module, tokenizer, provenance, path


def _is_hub_name(name: str) -> bool:
    """``user/name``, and no file of a kind that models have, which would only be missing."""
    return _HUB_NAME.fullmatch(name) is not None and not name.endswith(_FILES)


def _downloaded(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=[BLUEPRINT, WEIGHTS]))
    except Exception as error:  # of the network, the hub, or its client
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(f"model {name}: no such file or folder, and not to be had from the hub ({reason})") from error
