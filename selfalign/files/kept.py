"""What was computed once and is kept: a note says of each file what it is, of which data, and when it was last used.

Notes lie in the folder that ``SELFALIGN_CACHE`` names, else in ``~/.cache/selfalign``, beside the files that lie there;
outputs of BERT lie where ``backbone.bert.cache`` says. All of it may be deleted at any time while nothing runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from selfalign.errors import UserError
from selfalign.files.plain_values import read_json
from selfalign.files.whole_files import whole_file

_KINDS = {"tokens": "token ids", "vocabulary": "vocabulary", "words": "BERT outputs"}
_NAME = re.compile(rf"({'|'.join(_KINDS)})-[0-9a-f]{{32}}\.(npz|npy|json)")
"""Nothing of another name is ever listed or deleted, whatever a note says."""
_UNKNOWN = "of an older version"


@dataclass(frozen=True)
class Kept:
    """One kept file.

    Attributes:
        path: of it.
        what: kind of content.
        data: that it belongs to.
        bytes: its size.
        used: seconds since 1970.
    """

    path: Path
    what: str
    data: str
    bytes: int
    used: float


def kept_folder() -> Path:
    """Where results that can be computed again are kept."""
    return Path(os.environ.get("SELFALIGN_CACHE", "~/.cache/selfalign")).expanduser()


def note_use(path: Path, data: str) -> None:
    """Write down that a kept file was made or used just now; a folder that cannot be written costs nothing."""
    note = _note(path)
    with contextlib.suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(note, shared=True) as place:
            place.write_text(json.dumps({"path": str(path.resolve()), "data": data}) + "\n")


def kept_files() -> list[Kept]:
    """All kept files, the last used first; notes of files that are gone go as well."""
    found: dict[Path, Kept] = {}
    folder = kept_folder()
    for note in folder.glob("note-*.json"):
        with contextlib.suppress(UserError, OSError, TypeError, KeyError):
            record = read_json(note, "note")
            path = Path(record["path"])
            kept = _kept(path, str(record["data"]), note.stat().st_mtime)
            if kept is None or _note(path) != note:
                note.unlink()
            else:
                found[path] = kept
    for path in folder.glob("*"):
        with contextlib.suppress(OSError):
            kept = _kept(path.resolve(), _UNKNOWN, path.stat().st_mtime)
            if kept is not None:
                found.setdefault(kept.path, kept)
    return sorted(found.values(), key=lambda kept: (-kept.used, kept.path))


def beyond(files: Sequence[Kept], most: int) -> list[Kept]:
    """Of files, the last used first, those that have to go so that the others take at most ``most`` bytes.

    Example:
        >>> files = [Kept(Path(name), "", "", 4, used) for name, used in (("a", 3.0), ("b", 2.0), ("c", 1.0))]
        >>> [kept.path.name for kept in beyond(files, 8)]
        ['c']
    """
    gone, total = [], 0
    for kept in files:
        if total + kept.bytes > most:
            gone.append(kept)
        else:
            total += kept.bytes
    return gone


def delete(files: Iterable[Kept]) -> int:
    """Delete kept files and their notes; the bytes that are free again.

    Raises:
        UserError: if one cannot be deleted.
    """
    freed = 0
    for kept in files:
        try:
            kept.path.unlink(missing_ok=True)
            _note(kept.path).unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"cache {kept.path}: cannot be deleted ({error.strerror})") from error
        freed += kept.bytes
    return freed


def ago(kept: Kept) -> str:
    """How long ago a file was used, in words."""
    seconds = max(0.0, time.time() - kept.used)
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if (count := int(seconds // size)) >= 1:
            return f"{count:,} {name}{'' if count == 1 else 's'} ago"
    return "just now"


def _kept(path: Path, data: str, used: float) -> Kept | None:
    match = _NAME.fullmatch(path.name)
    if match is None or not path.is_file() or path.is_symlink():
        return None
    return Kept(path, _KINDS[match[1]], data, path.stat().st_size, used)


def _note(path: Path) -> Path:
    return kept_folder() / f"note-{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:32]}.json"
