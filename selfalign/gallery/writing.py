"""A gallery encoded once, in parts: what is written stays, and the same command goes on after an interruption."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from selfalign.data.images import ImageRows
from selfalign.data.layout import SplitFiles, find_split
from selfalign.data.ownership import gallery_ids, open_features
from selfalign.data.photographs import Photos
from selfalign.data.text.captions import read_captions
from selfalign.errors import UserError
from selfalign.files.locks import lock
from selfalign.files.whole_files import whole_file, write_whole
from selfalign.gallery.record import (
    CAPTIONS,
    IMAGES,
    NAME,
    REGIONS,
    UNFINISHED,
    FileRecord,
    IndexRecord,
    file_record,
    part_name,
    read_record,
    require_complete,
    require_unchanged,
    write_record,
)
from selfalign.retriever import Retriever
from selfalign.runs.embeddings import Embeddings

_PART = {"images": 512, "captions": 2560}
"""Rows of a file of vectors: at most some tens of megabytes, and what an interruption costs."""
_LOCK = ".lock"


def write_index(
    model: Retriever,
    folder: Path,
    data: Path,
    split: str,
    *,
    box_unit: str | None = None,
    photographs: Path | None = None,
    batch_size: int = 128,
    say: Callable[[str], None] = lambda line: None,
) -> IndexRecord:
    """Encode the images of a split, and its captions where it has any, into ``folder``, or go on with it.

    Args:
        model: that encodes, and that will encode the queries.
        folder: made where it is missing; nothing else may be in it.
        data: folder in SCAN's layout.
        split: of it.
        box_unit: of its boxes; ``None`` for that of the model's own data.
        photographs: folder of the photographs; ``None`` looks into ``data`` and its ``images``.
        batch_size: images or captions at a time.
        say: takes lines about what is done.

    Raises:
        UserError: if the data do not fit the model, or the folder holds something else.
    """
    source = model.image_source(data, split=split, box_unit=box_unit)
    files = find_split(data, split, captions=False)
    captions = read_captions(files.captions) if files.captions.exists() else []
    photos = Photos(files, photographs)
    unit = box_unit or model.configs[0]["data"].get("boxes", "pixels")
    places = (str(data.resolve()), split, unit, str((photographs or data).resolve()))
    work = IndexRecord(model.identities, model.sources, *places, _stamps(files), source.count, len(captions), {})
    with _owned(folder):
        found = _begun(folder, work)
        if found is None:
            say(f"{folder}: is complete already")
            return read_record(folder / NAME)
        if found:
            say(f"goes on in {folder}: {len(found)} files are there")
        writer = _Writer(folder, work, found)
        for kind, rows in (("images", source.count), *([("captions", len(captions))] if captions else [])):
            encode = _encoder(model, kind, source, captions, batch_size)
            writer.vectors(kind, rows, encode)
        writer.text(CAPTIONS, "".join(f"{caption}\n" for caption in captions), len(captions))
        owners = open_features(files, len(captions) or None).image_of_caption
        names = {
            "names": [photos.relative(row) for row in range(source.count)],
            "ids": _ids(files, owners, source.count),
            "image_of_caption": owners.tolist(),
        }
        writer.text(IMAGES, json.dumps(names) + "\n", source.count)
        return writer.finish()


class _Writer:
    """Files of an index, each whole, and written down as soon as it is there."""

    def __init__(self, folder: Path, work: IndexRecord, found: dict[str, FileRecord]) -> None:
        self.folder, self.record = folder, replace(work, files=found)
        write_record(self.record, folder / UNFINISHED)

    def vectors(self, kind: str, rows: int, encode: Callable[[range], Embeddings]) -> None:
        """Write what is missing of the vectors of one kind."""
        size = _PART[kind]
        parts = [range(start, min(start + size, rows)) for start in range(0, rows, size)]
        with tqdm(total=rows, desc=f"encoding {kind}", unit=f" {kind}", disable=None) as bar:
            for number, part in enumerate(parts):
                name = part_name(kind, number)
                if name not in self.record.files:
                    with _written(self.folder / name) as place:
                        encode(part).save(place)
                    self._add(name, len(part))
                bar.update(len(part))

    def text(self, name: str, content: str, rows: int) -> None:
        """Write a small file."""
        with _named(self.folder / name):
            write_whole(self.folder / name, content)
        self._add(name, rows)

    def finish(self) -> IndexRecord:
        """The index is complete."""
        write_record(self.record, self.folder / NAME)
        (self.folder / UNFINISHED).unlink()
        return self.record

    def _add(self, name: str, rows: int) -> None:
        files = {**self.record.files, name: file_record(self.folder / name, rows)}
        self.record = replace(self.record, files=files)
        write_record(self.record, self.folder / UNFINISHED)


def _encoder(
    model: Retriever, kind: str, source: ImageRows, captions: list[str], batch_size: int
) -> Callable[[range], Embeddings]:
    if kind == "images":
        return lambda rows: model.encode_rows(source, rows, batch_size)
    return lambda rows: model.encode_captions(captions[rows.start : rows.stop], batch_size)


@contextmanager
def _owned(folder: Path) -> Iterator[None]:
    with _named(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with lock(folder / _LOCK) as state:
            if state == "taken":
                raise UserError(f"index {folder}: another process writes it at this moment")
            yield


@contextmanager
def _written(path: Path) -> Iterator[Path]:
    with _named(path), whole_file(path) as place:
        yield place


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"index {path}: cannot be written ({error.strerror or error})") from error


def _begun(folder: Path, work: IndexRecord) -> dict[str, FileRecord] | None:
    """The files that are there and right; ``None`` if all are.

    Raises:
        UserError: if the folder holds another index, or anything else.
    """
    there = {path.name for path in folder.iterdir() if path.suffix != ".partial"} - {_LOCK, REGIONS}
    known = next((name for name in (NAME, UNFINISHED) if name in there), None)
    if known is None:
        if there:
            raise UserError(f"index {folder}: holds other files, as {min(there)}; name a new folder")
        return {}
    record = read_record(folder / known)
    if not record.same_work(work):
        raise UserError(f"index {folder}: holds an index of another model, of other or changed data; name a new folder")
    if known == NAME:
        require_complete(record, folder)
        return None
    kept = {name: file for name, file in record.files.items() if (folder / name).is_file()}
    for name, file in kept.items():
        require_unchanged(folder, name, file)
    return kept


def _stamps(files: SplitFiles) -> dict[str, list[int]]:
    told = (files.images, files.ids, files.row_ids, files.counts, files.offsets)
    used = (files.features, files.captions, files.boxes, files.sizes, *told)
    stamps = {path.name: path.stat() for path in used if path is not None and path.exists()}
    return {name: [stamp.st_size, stamp.st_mtime_ns] for name, stamp in stamps.items()}


def _ids(files: SplitFiles, owners: np.ndarray, count: int) -> list[str] | None:
    """The id of every image, where a file tells them."""
    ids = gallery_ids(files, owners, count)
    if ids is not None and len(ids) != count:
        raise UserError(f"ids {files.row_ids or files.ids}: {len(ids):,} of {count:,} images")
    return ids
