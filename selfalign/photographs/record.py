"""``extractor.json``: which models and windows made a folder's features. Features of one are never those of another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from selfalign.errors import UserError, shown
from selfalign.files.plain_values import read_json
from selfalign.files.whole_files import write_whole

RECORD = "extractor.json"
_FORMAT = 1
_NAMES = ("model", "detector")
"""What a model is called where it was loaded from; what it is, its weights and settings say."""
_PACKAGES = ("selfalign", "torch", "transformers", "pillow", "numpy")


@dataclass(frozen=True)
class Identity:
    """An extractor by what decides of its numbers.

    Attributes:
        settings: plain values by name: models, hashes of their weights and settings, the picture's side, windows.
    """

    settings: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The same for two extractors that make the same features, and for no others."""
        plain = {name: value for name, value in self.settings.items() if name not in _NAMES}
        plain["detects"] = self.settings["detector"] is not None
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

    @property
    def model(self) -> str:
        """What its vision model is called."""
        return str(self.settings["model"])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, which :func:`identity_from` takes."""
        return {"extractor": dict(self.settings), "digest": self.digest}

    def require_same(self, other: Identity, where: str) -> None:
        """Refuse features of another extractor.

        Args:
            other: which made what is there.
            where: it is.

        Raises:
            UserError: naming :meth:`difference`.
        """
        if self.digest == other.digest:
            return
        raise UserError(
            f"{where}: features of another extractor ({shown(other.model)}, this one is {shown(self.model)}; another "
            f"{self.difference(other)}); features of two are never comparable: choose another folder, or that extractor"
        )

    def difference(self, other: Identity) -> str:
        """The first thing that makes two extractors differ."""
        names = [*_NAMES, *self.settings, *other.settings]
        differing = [name for name in names if self.settings.get(name) != other.settings.get(name)]
        first = next((name for name in differing if name not in _NAMES), differing[0] if differing else "model")
        return first.replace("_", " ")


def read_record(root: Path) -> Identity:
    """The extractor of a folder.

    Raises:
        UserError: if the folder has no record, or a damaged one.
    """
    path = root / RECORD
    if not path.is_file():
        raise UserError(f"folder {root}: no {RECORD}; its features were not made by selfalign extract")
    record = read_json(path, "extractor")
    if not isinstance(record, dict) or record.get("format") != _FORMAT:
        raise UserError(f"extractor {path}: damaged, or of a later version of selfalign")
    return identity_from(record, f"extractor {path}")


def record_where_there_is_one(root: Path) -> Identity | None:
    """The extractor of a folder; ``None`` where nothing tells it, as of SCAN's files.

    Raises:
        UserError: if its record is damaged.
    """
    return read_record(root) if (root / RECORD).is_file() else None


def identity_from(record: Mapping[str, Any], where: str) -> Identity:
    """An extractor of plain values that came from a file.

    Args:
        record: with what :meth:`Identity.to_dict` gives.
        where: it is, for the message.

    Raises:
        UserError: if it is damaged.
    """
    settings = record.get("extractor")
    kinds = {"model": str, "side": int, "width": int, "detector": str | None}
    if (
        not isinstance(settings, dict)
        or any(name not in settings or not isinstance(settings[name], kind) for name, kind in kinds.items())
        or (settings["detector"] is not None and not isinstance(settings.get("least_score"), int | float))
    ):
        raise UserError(f"{where}: damaged, or of a later version of selfalign")
    identity = Identity(settings)
    if record.get("digest") != identity.digest:
        raise UserError(f"{where}: damaged; what it says of the extractor has another digest")
    return identity


def carry_record(source: Path, target: Path) -> None:
    """Let features that are written again, as in half the precision, keep the record of their extractor.

    Args:
        source: folder of the features.
        target: folder that they are about to be written to.

    Raises:
        UserError: if the other folder has features of another extractor.
    """
    identity = record_where_there_is_one(source)
    if identity is not None:
        target.mkdir(parents=True, exist_ok=True)
        settle_record(target, identity)
    elif (there := record_where_there_is_one(target)) is not None:
        raise UserError(
            f"folder {target}: features of {shown(there.model)}, and nothing tells the extractor of {source}; choose "
            "another folder"
        )


def settle_record(root: Path, identity: Identity) -> None:
    """Write the record where the folder has none; otherwise it must be this one.

    Raises:
        UserError: if the folder's features are of another extractor, or of nobody knows which.
    """
    path = root / RECORD
    if path.exists():
        identity.require_same(read_record(root), f"folder {root}")
        return
    if there := sorted(root.glob("*_ims.npy")):
        raise UserError(f"{there[0]}: features of nobody knows which extractor; choose another folder")
    record = {
        "format": _FORMAT,
        **identity.to_dict(),
        "versions": {name: _version(name) for name in _PACKAGES},
    }
    write_whole(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
