"""Answers without looking at every image: candidates by FAISS, scored exactly; how many it misses is measured."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from selfalign.data.checks.checksums import file_checksum
from selfalign.errors import UserError
from selfalign.files.plain_values import read_json
from selfalign.files.regular_files import read_regular
from selfalign.files.whole_files import whole_file, write_whole
from selfalign.functional.search import Hits, first_answers
from selfalign.functional.similarity import joint_caption, joint_image
from selfalign.gallery.index import Index
from selfalign.gallery.record import NAME
from selfalign.runs.embeddings import Embeddings, embeddings_tile, joined
from selfalign.structures import CaptionEmbedding, ImageEmbedding

LISTS, RECORD = "approximate.faiss", "approximate.json"
_WANTED = 0.95
"""Share of the exact answers of the sample; lists are added to a search until it is reached."""
_SAMPLE = 100
_DEPTH = 10
_CANDIDATES = 20
"""Times the answers asked for, at least."""
_TRAINING = 40
"""Vectors a list that the lists are learnt from; FAISS wants 39."""
_LARGEST = 2**30


@dataclass(frozen=True)
class MeasuredRecall:
    """What is known of an approximate index.

    Attributes:
        lists: groups that the vectors fall into.
        probes: of them, looked into for a query.
        recall: share of the first ``depth`` exact answers that were found, over ``sample`` captions of the gallery.
        sample, depth: of that figure.
        views: vectors an image.
        index: checksum of the ``index.json`` that it belongs to.
        sha256: checksum of its file.
    """

    lists: int
    probes: int
    recall: float
    sample: int
    depth: int
    views: int
    index: str
    sha256: str


class Approximate:
    """Made by :func:`build`, and opened again by :meth:`open`.

    Args:
        index: that it belongs to.
        lists: FAISS's index of it.
        measured: how good it is.
    """

    def __init__(self, index: Index, lists: Any, measured: MeasuredRecall) -> None:
        self._index, self._lists, self.measured = index, lists, measured
        lists.nprobe = measured.probes

    @classmethod
    def open(cls, index: Index) -> Approximate:
        """What :func:`build` left beside an index.

        Raises:
            UserError: if there is none, or it is damaged or of another index.
        """
        faiss, path = _faiss(), index.folder / LISTS
        if not (index.folder / RECORD).is_file():
            raise UserError(f"index {index.folder}: has no approximate index; selfalign index --approximate makes one")
        try:
            measured = MeasuredRecall(**read_json(index.folder / RECORD, "index"))
        except TypeError as error:
            raise UserError(f"index {index.folder / RECORD}: damaged ({error})") from error
        if measured.index != _identity(index):
            raise UserError(f"index {index.folder}: its approximate index is of another one; make it again")
        if file_checksum(path) != measured.sha256:
            raise UserError(f"index {path}: is not the file that was written (checksum); make it again")
        return cls(index, faiss.read_index(str(path)), measured)

    def search(self, queries: Embeddings, top: int = 5) -> Hits:
        """The best images of every caption among the candidates, with exact scores.

        Args:
            queries: captions.
            top: K answers a query.

        Returns:
            as :meth:`selfalign.gallery.index.Index.search`; where lists hold fewer candidates, the exact answer.

        Raises:
            UserError: if the queries are images, or another model encoded them.
        """
        self._index.require_made_by(queries.models)
        if queries.kind != "captions":
            raise UserError("search: an approximate index finds images for sentences; captions are searched exactly")
        top = min(top, self._index.record.images)
        found = [self._of_one(queries[row : row + 1], top) for row in range(len(queries))]
        return Hits(torch.cat([hits.rows for hits in found]), torch.cat([hits.scores for hits in found]))

    def _of_one(self, query: Embeddings, top: int) -> Hits:
        count = min(self._lists.ntotal, _CANDIDATES * max(top, _DEPTH) * self.measured.views)
        _, entries = self._lists.search(_caption_vectors(query), count)
        rows = np.unique(entries[entries >= 0] // self.measured.views)
        if len(rows) < top:
            return self._index.search(query, top)
        tile = embeddings_tile(self._index.vectors_of_images(rows.tolist()), query)
        hits = first_answers(lambda queries, images: tile(images, queries).mT, 1, len(rows), top)
        return Hits(torch.from_numpy(rows)[hits.rows], hits.scores)


def build(index: Index, say: Callable[[str], None] = lambda line: None) -> Approximate:
    """Make an approximate index beside ``index``, and measure it.

    Lists of a search are doubled until 95 % of the exact first answers of a sample are found; vectors that form no
    groups end with all lists.

    Raises:
        UserError: of an ensemble, whose score is no product of two vectors, or if faiss is not installed.
    """
    faiss = _faiss()
    if len(index.record.identities) > 1:
        raise UserError("--approximate: expected one model; the score of an ensemble is no product of two vectors")
    views = next(_image_vectors(index)).shape[1]
    entries = index.record.images * views
    lists = max(1, min(int(2 * math.sqrt(entries)), entries // _TRAINING))
    sample = _training_sample(index, _TRAINING * lists)
    made = faiss.index_factory(sample.shape[1], f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
    made.cp.seed = 0
    say(f"learning {lists:,} lists from {len(sample):,} vectors")
    made.train(sample)
    for part in _image_vectors(index):
        made.add(part.reshape(-1, part.shape[-1]))
    queries = _sample_of_captions(index)
    exact = index.search(queries, _DEPTH).rows
    probes, found = 1, Approximate(index, made, MeasuredRecall(lists, 1, 0.0, len(queries), _DEPTH, views, "", ""))
    while True:
        recall = _recall(found.search(queries, _DEPTH).rows, exact)
        if recall >= _WANTED or probes == lists:
            break
        probes = min(2 * probes, lists)
        made.nprobe = probes
    sha256 = _write(index.folder / LISTS, made, faiss)
    measured = MeasuredRecall(lists, probes, recall, len(queries), _DEPTH, views, _identity(index), sha256)
    write_whole(index.folder / RECORD, json.dumps(asdict(measured), indent=1) + "\n")
    return Approximate(index, made, measured)


def described(measured: MeasuredRecall) -> str:
    """How good it is, in one line."""
    return (
        f"approximate: looks into {measured.probes:,} of {measured.lists:,} lists and found {measured.recall:.1%} "
        f"of the first {measured.depth} exact answers of {measured.sample} captions; scores are exact"
    )


def _image_vectors(index: Index) -> Iterator[np.ndarray]:
    for part in index.parts("images"):
        image = part.parts[0]
        assert isinstance(image, ImageEmbedding)
        yield np.ascontiguousarray(joint_image(image).numpy())


def _caption_vectors(queries: Embeddings) -> np.ndarray:
    caption = queries.parts[0]
    assert isinstance(caption, CaptionEmbedding)
    return np.ascontiguousarray(joint_caption(caption).numpy())


def _training_sample(index: Index, wanted: int) -> np.ndarray:
    """About as many vectors as wanted, spread over the whole gallery."""
    taken = []
    for part in _image_vectors(index):
        flat = part.reshape(-1, part.shape[-1])
        share = min(1.0, wanted / (index.record.images * part.shape[1]))
        taken.append(flat[np.linspace(0, len(flat) - 1, math.ceil(share * len(flat))).round().astype(int)])
    return np.concatenate(taken)


def _sample_of_captions(index: Index) -> Embeddings:
    """Captions of the gallery, spread evenly."""
    wanted = np.unique(np.linspace(0, index.record.captions - 1, _SAMPLE).round().astype(int))
    found, start = [], 0
    for part in index.parts("captions"):
        own = wanted[(wanted >= start) & (wanted < start + len(part))] - start
        found.append(part[torch.from_numpy(own)])
        start += len(part)
    return joined(found)


def _recall(found: torch.Tensor, exact: torch.Tensor) -> float:
    """Share of the exact answers that were found."""
    return float((found[:, :, None] == exact[:, None, :]).any(dim=1).float().mean())


def _write(path: Path, made: Any, faiss: Any) -> str:
    try:
        with whole_file(path) as place:
            faiss.write_index(made, str(place))
    except (OSError, RuntimeError) as error:
        raise UserError(f"index {path}: cannot be written ({' '.join(str(error).split())[:160]})") from error
    return file_checksum(path)


def _identity(index: Index) -> str:
    return hashlib.sha256(read_regular(index.folder / NAME, "index", _LARGEST)).hexdigest()


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise UserError("--approximate: faiss is not installed; pip install 'selfalign[search]'") from error
    return faiss
