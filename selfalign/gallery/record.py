"""``index.json``: what an index holds, by which models, with the checksum of every file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from selfalign.data.checks.checksums import file_checksum
from selfalign.errors import UserError, shown
from selfalign.files.plain_values import read_json
from selfalign.files.whole_files import write_whole

FORMAT = 1
NAME, UNFINISHED = "index.json", "unfinished.json"
CAPTIONS, IMAGES = "captions.txt", "images.json"
REGIONS = "regions"
"""Folder of regions that were extracted for the index."""
KINDS = ("images", "captions")
_LARGEST = 256 * 2**20


@dataclass(frozen=True)
class FileRecord:
    """One file of an index.

    Attributes:
        rows: vectors in it, or lines.
        bytes: its size.
        sha256: its checksum.
    """

    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class IndexRecord:
    """An index, finished or not.

    Attributes:
        identities: of the models that made it.
        models: where each of them was: a file, a folder, or a hub's name.
        data: folder of the region features.
        split: of it.
        box_unit: of its boxes.
        photographs: folder that names of photographs are relative to.
        sources: size and time of each file of the data, by name: an index goes on with unchanged data only.
        images, captions: how many; a gallery may have no captions.
        files: those that are there, by name; vectors are in ``images-00000.safetensors`` … and ``captions-00000…``.
        format: version of this record.
    """

    identities: tuple[str, ...]
    models: tuple[str, ...]
    data: str
    split: str
    box_unit: str
    photographs: str
    sources: Mapping[str, list[int]]
    images: int
    captions: int
    files: Mapping[str, FileRecord]
    format: int = FORMAT

    def parts(self, kind: str) -> dict[str, FileRecord]:
        """The files of vectors of ``images`` or ``captions``, in the order of their rows."""
        return {name: self.files[name] for name in sorted(self.files) if name.startswith(f"{kind}-")}

    def same_work(self, other: IndexRecord) -> bool:
        """Whether both are of the same models and data, however far they are."""
        return self.identities == other.identities and _work(self) == _work(other)


def _work(record: IndexRecord) -> tuple[Any, ...]:
    places = (record.data, record.split, record.box_unit, record.photographs)
    return (*places, dict(record.sources), record.images, record.captions)


def part_name(kind: str, number: int) -> str:
    """Of a file of vectors."""
    return f"{kind}-{number:05}.safetensors"


def file_record(path: Path, rows: int) -> FileRecord:
    """Of a file that was just written."""
    return FileRecord(rows, path.stat().st_size, file_checksum(path))


def write_record(record: IndexRecord, path: Path) -> None:
    """Write a record; nobody ever sees half of it."""
    write_whole(path, json.dumps(asdict(record), indent=1) + "\n")


def read_record(path: Path) -> IndexRecord:
    """What :func:`write_record` wrote, of an index that may be unfinished.

    Raises:
        UserError: if it is missing, damaged, or of another version.
    """
    found = read_json(path, "index", _LARGEST)
    try:
        if found["format"] != FORMAT:
            raise UserError(f"index {path}: format {shown(found['format'])}, this version reads {FORMAT}")
        if set(found) != {field.name for field in fields(IndexRecord)}:
            raise ValueError("names are missing or unknown")
        files = {name: _checked_file(name, values) for name, values in found["files"].items()}
        models = {name: tuple(found[name]) for name in ("identities", "models")}
        record = IndexRecord(**(found | models | {"files": files}))
        _require_kinds(record)
    except UserError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"index {path}: damaged ({type(error).__name__}: {error})") from error
    return record


def require_complete(record: IndexRecord, folder: Path) -> None:
    """Refuse an index of which a file is missing, cut or longer, or whose rows do not add up.

    Raises:
        UserError: naming it.
    """
    if missing := {CAPTIONS, IMAGES} - set(record.files):
        raise UserError(f"index {folder}: {min(missing)} is missing; make the index again")
    for name, file in record.files.items():
        try:
            size = (folder / name).stat().st_size
        except OSError as error:
            raise UserError(f"index {folder}: {name} is missing ({error.strerror}); make the index again") from error
        if size != file.bytes:
            raise UserError(
                f"index {folder}: {name} has {size:,} bytes in place of {file.bytes:,}; it was cut or exchanged; "
                "make the index again"
            )
    for kind, count in zip(KINDS, (record.images, record.captions), strict=True):
        if (found := sum(file.rows for file in record.parts(kind).values())) != count:
            raise UserError(f"index {folder}: vectors of {found:,} {kind}, expected {count:,}; make the index again")


def require_unchanged(folder: Path, name: str, file: FileRecord) -> None:
    """Refuse a file that is not the one that was written.

    Raises:
        UserError: naming it.
    """
    if file_checksum(folder / name) != file.sha256:
        raise UserError(f"index {folder}: {name} is not the file that was written (checksum); make the index again")


def _checked_file(name: str, values: Mapping[str, Any]) -> FileRecord:
    if "/" in name or "\\" in name or name in ("", ".", ".."):
        raise ValueError(f"{shown(name)} is no file of an index")
    file = FileRecord(**values)
    if not all(isinstance(number, int) and number >= 0 for number in (file.rows, file.bytes)):
        raise ValueError(f"{shown(name)} has no rows or bytes")
    return file


def _require_kinds(record: IndexRecord) -> None:
    texts = (record.data, record.split, record.box_unit, record.photographs, *record.identities, *record.models)
    if not record.models or len(record.models) != len(record.identities):
        raise ValueError("models and identities differ in number")
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a place is no text")
    if not (isinstance(record.images, int) and record.images > 0):
        raise ValueError("no images")
    if not (isinstance(record.captions, int) and record.captions >= 0):
        raise ValueError("no number of captions")
