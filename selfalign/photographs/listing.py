"""The photographs of a folder, by name."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from selfalign.data.image_ids import stays_inside
from selfalign.errors import UserError

_ENDINGS = (".jpg", ".jpeg", ".png")
_LONGEST = 256
"""Characters of a name, as :func:`selfalign.data.image_ids.read_image_ids` has it."""


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Attributes:
        folder: of the photographs.
        names: of photographs, relative to the folder, sorted.
        unusable: names that a list of names cannot hold, and why.
        others: how many files of which ending are no photographs.
    """

    folder: Path
    names: tuple[str, ...]
    unusable: dict[str, str] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)


def list_photographs(folder: Path) -> Listing:
    """JPEG and PNG files of a folder and the folders in it, told by their endings; hidden ones are passed over.

    Raises:
        UserError: if it is no folder, cannot be read, or a link in it leads out of it.
    """
    if not folder.is_dir():
        raise UserError(f"photographs {folder}: no such folder")
    inside = folder.resolve()
    names: list[str] = []
    unusable: dict[str, str] = {}
    others: Counter[str] = Counter()
    for place, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            _require_inside(Path(place, name), inside)
        for name in files:
            path = Path(place, name)
            if name.startswith("."):
                continue
            if not name.lower().endswith(_ENDINGS):
                others[path.suffix.lower() or "no ending"] += 1
                continue
            _require_inside(path, inside)
            relative = path.relative_to(folder).as_posix()
            if (fault := _fault(relative)) is None:
                names.append(relative)
            else:
                unusable[relative] = fault
    return Listing(folder, tuple(sorted(names)), unusable, others)


def _refuse(error: OSError) -> None:
    raise UserError(f"photographs {error.filename}: cannot be read ({error.strerror})") from error


def _require_inside(path: Path, folder: Path) -> None:
    """Refuse a link out of the folder: what it leads to was not given."""
    if not path.is_symlink():
        return
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise UserError(f"photographs {path}: a link that leads nowhere; remove it") from error
    if not target.is_relative_to(folder):
        raise UserError(f"photographs {path}: a link out of the folder; remove it, or give the folder it leads to")


def _fault(name: str) -> str | None:
    """Why a name cannot stand in ``{split}_images.txt``, one a line; ``None`` if it can."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if any(sign in name for sign in "\r\n"):
        return "its name has a line break"
    if name != name.strip():
        return "its name begins or ends with a space"
    if len(name) > _LONGEST:
        return f"its name has more than {_LONGEST} characters"
    if "\\" in name or not stays_inside(name):
        return "its name would lead out of a folder elsewhere"
    return None
