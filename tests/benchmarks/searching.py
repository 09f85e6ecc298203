"""One sentence among the vectors of an index on disk, exactly: time and memory, each gallery in its own process."""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from selfalign.gallery.approximate import Approximate, MeasuredRecall, build
from selfalign.gallery.index import Index
from selfalign.gallery.record import (
    CAPTIONS,
    IMAGES,
    NAME,
    IndexRecord,
    file_record,
    part_name,
    write_record,
)
from selfalign.runs.embeddings import Embeddings
from selfalign.structures import CaptionEmbedding, ImageEmbedding

_PART = 512
_CAPTIONS = 100
_MODEL = ("random",)


@dataclass(frozen=True)
class Searched:
    """Of one gallery.

    Attributes:
        images: in it.
        first: seconds of the first search, which reads all vectors and compares checksums.
        again: median seconds of the next.
        peak: bytes of the process at its highest, beyond those before the index was opened.
        bytes: of the vectors on disk.
        approximate: seconds of a search by FAISS, and what is known of it; ``None`` where it was not asked for.
    """

    images: int
    first: float
    again: float
    peak: int
    bytes: int
    approximate: tuple[float, MeasuredRecall] | None


def searches(galleries: Sequence[int], width: int, repeats: int, largest: int) -> Iterator[Searched]:
    """Search random galleries of these sizes, those of at most ``largest`` images by FAISS, too."""
    context = multiprocessing.get_context("spawn")
    for images in galleries:
        with tempfile.TemporaryDirectory() as folder, context.Pool(1) as process:
            record = write_random(Path(folder), images, width)
            yield process.apply(_search, (Path(folder), record, width, repeats, images <= largest))


def write_random(folder: Path, images: int, width: int) -> IndexRecord:
    """An index of random unit vectors, one view an image."""
    generator = torch.Generator().manual_seed(0)
    record = IndexRecord(_MODEL, _MODEL, "", "test", "pixels", "", {}, images, _CAPTIONS, {})
    files = {}
    for number, start in enumerate(range(0, images, _PART)):
        rows = min(_PART, images - start)
        views = torch.nn.functional.normalize(torch.randn(rows, 1, width, generator=generator), dim=-1)
        path = folder / part_name("images", number)
        Embeddings((ImageEmbedding(views, None),), _MODEL).save(path)
        files[path.name] = file_record(path, rows)
    captions = torch.nn.functional.normalize(torch.randn(_CAPTIONS, width, generator=generator), dim=-1)
    Embeddings((CaptionEmbedding(captions, None),), _MODEL).save(folder / part_name("captions", 0))
    (folder / CAPTIONS).write_text("a caption\n" * _CAPTIONS)
    (folder / IMAGES).write_text(f'{{"names": [{", ".join(["null"] * images)}], "ids": null}}')
    for name, rows in ((part_name("captions", 0), _CAPTIONS), (CAPTIONS, _CAPTIONS), (IMAGES, images)):
        files[name] = file_record(folder / name, rows)
    record = replace(record, files=files)
    write_record(record, folder / NAME)
    return record


def _query(width: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(1, width, generator=torch.Generator().manual_seed(1)), dim=-1)


def _search(folder: Path, record: IndexRecord, width: int, repeats: int, by_faiss: bool) -> Searched:
    torch.set_num_threads(1)
    query = Embeddings((CaptionEmbedding(_query(width), None),), _MODEL)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    index = Index.open(folder)
    seconds = [_timed(index, query) for _ in range(1 + max(1, repeats))]
    peak = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    size = sum(file.bytes for file in record.files.values())
    found = None
    if by_faiss:
        lists = build(index)
        found = (statistics.median(_timed(lists, query) for _ in range(max(3, repeats))), lists.measured)
    return Searched(record.images, seconds[0], statistics.median(seconds[1:]), peak, size, found)


def _timed(index: Index | Approximate, query: Embeddings) -> float:
    start = time.perf_counter()
    index.search(query, top=5)
    return time.perf_counter() - start
