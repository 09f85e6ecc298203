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

    def require_same(self, other: Identity, where: str) -> None:
        """Refuse features of another extractor.

        Args:
            other: which made what is there.
            where: it is.

        Raises:
            UserError: naming the first thing that differs.
        """
        if self.digest == other.digest:
            return
        names = [*_NAMES, *self.settings, *other.settings]
        differing = [name for name in names if self.settings.get(name) != other.settings.get(name)]
        name = next((name for name in differing if name not in _NAMES), differing[0] if differing else "model")
        was, now = (of.settings.get("model") for of in (other, self))
        raise UserError(
            f"{where}: features of another extractor ({shown(was)}, this one is {shown(now)}; another "
            f"{name.replace('_', ' ')}); features of two are never comparable: choose another folder, or that extractor"
        )


def read_record(root: Path) -> Identity:
    """The extractor of a folder.

    Raises:
        UserError: if the folder has no record, or a damaged one.
    """
    path = root / RECORD
    if not path.is_file():
        raise UserError(f"folder {root}: no {RECORD}; its features were not made by selfalign extract")
    record = read_json(path, "extractor")
    identity = record.get("extractor") if isinstance(record, dict) else None
    kinds = {"model": str, "side": int, "width": int, "detector": str | None}
    if (
        not isinstance(identity, dict)
        or record.get("format") != _FORMAT
        or any(name not in identity or not isinstance(identity[name], kind) for name, kind in kinds.items())
        or (identity["detector"] is not None and not isinstance(identity.get("least_score"), int | float))
    ):
        raise UserError(f"extractor {path}: damaged, or of a later version of selfalign")
    return Identity(identity)


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
        "extractor": dict(identity.settings),
        "digest": identity.digest,
        "versions": {name: _version(name) for name in _PACKAGES},
    }
    write_whole(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
