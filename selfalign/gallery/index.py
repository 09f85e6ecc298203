"""An index that is searched: exact answers in bounded memory, whatever the size of the gallery."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from selfalign.data.image_ids import CAPTIONS_PER_IMAGE, are_row_numbers, stays_inside
from selfalign.data.ownership import captions_of_images
from selfalign.data.text.captions import read_captions
from selfalign.errors import UserError, shown
from selfalign.files.plain_values import read_json
from selfalign.functional.search import Hits, first_answers, merged_answers
from selfalign.gallery.record import (
    CAPTIONS,
    IMAGES,
    NAME,
    UNFINISHED,
    IndexRecord,
    read_record,
    require_complete,
    require_unchanged,
)
from selfalign.retriever import Retriever, load
from selfalign.runs.embeddings import Embeddings, embeddings_tile, joined

_KEPT = 2**30
"""Bytes of vectors that stay in memory; a larger index is read part by part for each search."""
_LARGEST_NAMES = 2**30


@dataclass(frozen=True)
class IndexedImage:
    """An image of the gallery.

    Attributes:
        row: of it.
        id: as the data set calls it; its row where that is not known.
        name: file of its photograph, relative to the folder of photographs; ``None`` where that is not known.
        captions: rows of its captions; none where the gallery has none.
    """

    row: int
    id: str
    name: str | None
    captions: tuple[int, ...]


class Index:
    """What :func:`selfalign.gallery.writing.write_index` wrote; made by :meth:`open`.

    Args:
        folder: of it.
        record: of its files, which are all there.

    Attributes:
        captions: their texts.
        has_ids: whether images are called something else than their rows.
    """

    def __init__(self, folder: Path, record: IndexRecord) -> None:
        self.folder, self.record = folder, record
        for name in (CAPTIONS, IMAGES):
            require_unchanged(folder, name, record.files[name])
        self.captions = read_captions(folder / CAPTIONS) if record.captions else []
        known = read_json(folder / IMAGES, "index", _LARGEST_NAMES)
        rows = [str(row) for row in range(record.images)]
        self._names, self._ids = known["names"], known["ids"] or rows
        self.has_ids = not are_row_numbers(self._ids)
        if (len(self.captions), len(self._names), len(self._ids)) != (record.captions, record.images, record.images):
            raise UserError(f"index {folder}: captions, names and vectors do not add up; make the index again")
        owners = known.get("image_of_caption")  # an index of an earlier version: five captions an image
        if owners is None:
            owners = [caption // CAPTIONS_PER_IMAGE for caption in range(record.captions)]
        if len(owners) != record.captions or not all(
            isinstance(image, int) and 0 <= image < record.images for image in owners
        ):
            raise UserError(f"index {folder}: its captions are of images that are not there; make the index again")
        self._owners = [int(image) for image in owners]
        self._own = captions_of_images(np.asarray(owners, np.int64), record.images)
        self._kept: dict[str, Embeddings] = {}
        self._verified: dict[str, int] = {}
        self._keeps = sum(file.bytes for file in record.files.values()) <= _KEPT

    @classmethod
    def open(cls, folder: str | Path) -> Index:
        """Open an index; files that are missing, cut or exchanged are refused by name.

        Files of vectors are compared with their checksums when they are first read.

        Raises:
            UserError: if it is none, unfinished, or damaged.
        """
        path = Path(folder).expanduser()
        if not (path / NAME).is_file():
            if (path / UNFINISHED).is_file():
                raise UserError(f"index {path}: unfinished; the same selfalign index command goes on with it")
            raise UserError(f"index {path}: no index; selfalign index MODEL --out {path} makes one")
        record = read_record(path / NAME)
        require_complete(record, path)
        return cls(path, record)

    def load_model(self, source: str | None = None, *, device: str | None = None) -> Retriever:
        """The model that made the index.

        Args:
            source: where it is now; ``None`` for where it was. Several of an ensemble are not moved one by one.
            device: see :func:`selfalign.load`.

        Raises:
            UserError: if it is not there, or another one.
        """
        sources = list(self.record.models) if source is None else [source]
        try:
            model = load(sources, device=device)
        except UserError as error:
            if source is not None:
                raise
            raise UserError(f"index {self.folder}: its model is not where it was ({error}); pass --model") from error
        self.require_made_by(model.identities)
        return model

    def require_made_by(self, identities: tuple[str, ...]) -> None:
        """Refuse a model that did not make the index: its vectors would compare to nothing.

        Raises:
            UserError: saying so.
        """
        if identities != self.record.identities:
            raise UserError(f"index {self.folder}: made by another model; pass the one that made it, or make it again")

    def image(self, row: int) -> IndexedImage:
        """An image.

        Raises:
            UserError: if there is no such row.
        """
        if not 0 <= row < self.record.images:
            raise UserError(f"image: expected a row from 0 to {self.record.images - 1:,}, got {shown(row)}")
        return IndexedImage(row, self._ids[row], self._name(row), tuple(self._own[row].tolist()))

    def image_of_caption(self, row: int) -> int:
        """Row of the image that a caption was written for."""
        return self._owners[row]

    def _name(self, row: int) -> str | None:
        name = self._names[row]
        if name is not None and not (isinstance(name, str) and stays_inside(name)):
            raise UserError(f"index {self.folder}: {shown(name)} leaves the folder of the photographs")
        return name

    def search(self, queries: Embeddings, top: int = 5) -> Hits:
        """The best answers of every query, exact.

        Args:
            queries: captions, which are searched among the images, or images among the captions.
            top: K answers a query.

        Returns:
            ``rows`` (Q, K) of the gallery and ``scores`` (Q, K), best first; of equal scores the first row comes first.

        Raises:
            UserError: if another model encoded the queries.
        """
        self.require_made_by(queries.models)
        kind = "images" if queries.kind == "captions" else "captions"
        if kind == "captions" and not self.captions:
            raise UserError(f"index {self.folder}: its images have no captions to be searched")
        best, start = Hits(torch.empty(len(queries), 0, dtype=torch.int64), torch.empty(len(queries), 0)), 0
        for part in self.parts(kind):
            hits = _answers(part, queries, top)
            best = merged_answers(best, Hits(hits.rows + start, hits.scores), top)
            start += len(part)
        return best

    def vectors_of_image(self, row: int) -> Embeddings:
        """The vectors of one image, as a query among the captions."""
        self.image(row)
        for name, file in self.record.parts("images").items():
            if row < file.rows:
                return self._part(name)[row : row + 1]
            row -= file.rows
        raise UserError(f"index {self.folder}: has no vectors of that image; make the index again")

    def vectors_of_images(self, rows: Sequence[int]) -> Embeddings:
        """The vectors of some images, in the order of ``rows``, which rise."""
        found, start, wanted = [], 0, torch.as_tensor(rows)
        for name, file in self.record.parts("images").items():
            own = wanted[(wanted >= start) & (wanted < start + file.rows)] - start
            if len(own):
                found.append(self._part(name)[own])
            start += file.rows
        return joined(found)

    def parts(self, kind: str) -> Iterator[Embeddings]:
        """The vectors of ``images`` or ``captions``, one file after the other."""
        return (self._part(name) for name in self.record.parts(kind))

    def _part(self, name: str) -> Embeddings:
        if name in self._kept:
            return self._kept[name]
        file, changed = self.record.files[name], self._changed(name)
        if self._verified.get(name) != changed:
            require_unchanged(self.folder, name, file)
            self._verified[name] = changed
        part = Embeddings.load(self.folder / name)
        if (len(part), part.kind, part.models) != (file.rows, name.split("-")[0], self.record.identities):
            raise UserError(f"index {self.folder}: {name} is of another index; make the index again")
        if self._keeps:
            self._kept[name] = part
        return part

    def _changed(self, name: str) -> int:
        try:
            return (self.folder / name).stat().st_mtime_ns
        except OSError as error:
            raise UserError(f"index {self.folder}: {name} is gone ({error.strerror})") from error


def _answers(part: Embeddings, queries: Embeddings, top: int) -> Hits:
    """Of one part of the gallery."""
    if part.kind != "images":
        return first_answers(embeddings_tile(queries, part), len(queries), len(part), top)
    found = embeddings_tile(part, queries)

    def by_query(rows: Any, columns: Any) -> Tensor:
        return found(columns, rows).mT

    return first_answers(by_query, len(queries), len(part), top)
