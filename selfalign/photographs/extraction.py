"""Photographs → a folder in SCAN's layout: one after the other, in bounded memory, resumable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from selfalign.data.checks.checksums import write_checksums
from selfalign.data.checks.findings import counted
from selfalign.data.conversion.feature_files import ArrayFile
from selfalign.errors import UserError
from selfalign.files.locks import lock
from selfalign.files.whole_files import write_whole
from selfalign.photographs.extractor import Extractor
from selfalign.photographs.journal import Journal
from selfalign.photographs.opening import PhotographError
from selfalign.photographs.pairing import PhotographSplit
from selfalign.photographs.progress import ExtractionProgress
from selfalign.photographs.record import RECORD, settle_record
from selfalign.photographs.windows import REGIONS

_PHOTOGRAPHS_A_NOTE = 64
_NAMED = 5
"""Photographs that are named one by one."""
_ARRAYS = ("ims", "boxes", "img_sizes")
_FILES = (*(f"{kind}.npy" for kind in _ARRAYS), "caps.txt", "images.txt", "ids.txt", "skipped.txt")

Report = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """Where photographs come from, and what is done with those that cannot be read.

    Attributes:
        folder: that their names are relative to.
        strict: refuse instead of passing over.
    """

    folder: Path
    strict: bool = False


def extract_split(source: Source, split: PhotographSplit, extractor: Extractor, root: Path, report: Report) -> None:
    """Write features, boxes, sizes, captions, names and ids of a split, the extractor's record and checksums.

    Interrupted or killed and started again, it goes on where it was, with the same bytes in the end.

    Args:
        source: of the photographs.
        split: what to extract.
        extractor: which does it.
        root: folder to write to.
        report: told in one line what was done.

    Raises:
        UserError: if the split is there already, the folder is of another extractor, or no photograph can be read.
    """
    held = root / f".{split.name}_extraction.lock"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with lock(held) as state:
            if state == "taken":
                raise UserError(f"folder {root}: another process extracts split {split.name} at this moment")
            try:
                _extract(source, split, extractor, root, report)
            finally:
                held.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"folder {root}: cannot be written ({error.strerror or error})") from error


def _extract(source: Source, split: PhotographSplit, extractor: Extractor, root: Path, report: Report) -> None:
    path = root / f"{split.name}_extraction.partial"
    there = next((file for name in _FILES if (file := root / f"{split.name}_{name}").exists()), None)
    if there is not None and not path.exists():
        raise UserError(f"{there}: exists already; remove the split's files, or choose another --split or --out")
    settle_record(root, extractor.identity)
    photographs = [_line(source.folder, name) for name in split.photographs]
    journal = Journal(path, extractor.identity.digest, photographs)
    if journal.seen:
        report(f"going on: {journal.seen:,} of {len(photographs):,} photographs were done")
    arrays = _arrays(root, split, extractor.width, journal)
    try:
        if journal.seen < len(photographs):
            _fill(source, split, extractor, journal, arrays, report)
        if journal.rows:
            for array in arrays.values():
                array.shorten(journal.rows)
                array.finish()
    finally:
        for array in arrays.values():
            array.close()
    if not journal.rows:
        for unused in [*(array.partial for array in arrays.values()), path]:
            unused.unlink(missing_ok=True)
        raise UserError(
            f"photographs {source.folder}: none of {len(photographs):,} could be read; {journal.skipped[0]}"
        )
    _write_texts(split, root, journal)
    path.unlink()
    _tell(split, extractor, root, journal, report)


def _line(folder: Path, name: str) -> str:
    """What changes when a photograph changes."""
    try:
        found = (folder / name).stat()
    except OSError:  # named when it is its turn
        return f"- - {name}"
    return f"{found.st_size} {found.st_mtime_ns} {name}"


def _arrays(root: Path, split: PhotographSplit, width: int, journal: Journal) -> dict[str, ArrayFile]:
    """The arrays that have not got their names yet; all of them while photographs are missing."""
    count = len(split.photographs)
    shapes = {"ims": (count, REGIONS, width), "boxes": (count, REGIONS, 4), "img_sizes": (count, 2)}
    arrays = {}
    for kind, shape in shapes.items():
        path = root / f"{split.name}_{kind}.npy"
        partial = path.with_name(f"{path.name}.partial")
        if journal.rows and not partial.exists():
            if journal.seen == count and path.exists():
                continue
            raise UserError(f"{partial}: is gone, but {journal.path} counts on it; remove that and start again")
        arrays[kind] = ArrayFile(path, shape, "float32")
    return arrays


def _fill(
    source: Source,
    split: PhotographSplit,
    extractor: Extractor,
    journal: Journal,
    arrays: dict[str, ArrayFile],
    report: Report,
) -> None:
    """Extract every photograph that is still missing; what is done is noted even when it is interrupted."""
    count, seen, rows, padded = len(split.photographs), journal.seen, journal.rows, journal.padded
    skipped = dict(journal.skipped)

    def note() -> None:
        if seen > journal.seen:
            for array in arrays.values():
                array.flush()  # before the journal says so
            journal.note(seen, rows, padded, skipped)

    progress = ExtractionProgress(split.name, count, seen, report)
    try:
        for name in split.photographs[seen:]:
            try:
                found = extractor.regions(source.folder / name)
            except PhotographError as error:
                if source.strict:
                    raise
                seen, skipped = seen + 1, skipped | {seen: str(error)}
            else:
                for kind, value in zip(_ARRAYS, (found.features, found.boxes, np.array(found.size)), strict=True):
                    arrays[kind].write(rows, value)
                short = extractor.detects and found.detected < REGIONS
                seen, rows, padded = seen + 1, rows + 1, padded + short
            progress.step()
            if seen - journal.seen == _PHOTOGRAPHS_A_NOTE:
                note()
    finally:
        progress.close()
        note()


def _write_texts(split: PhotographSplit, root: Path, journal: Journal) -> None:
    """Names, ids and captions of the rows, the photographs without one, and checksums of all files."""
    names = [name for place, name in enumerate(split.photographs) if place not in journal.skipped]
    texts = {"images": names, "ids": names}
    if split.captions is not None:
        texts["caps"] = [caption for name in names for caption in split.captions[name]]
        texts["ids"] = [name for name in names for _ in split.captions[name]]
    if journal.skipped:
        texts["skipped"] = [f"{split.photographs[place]}\t{reason}" for place, reason in journal.skipped.items()]
    for kind, lines in texts.items():
        write_whole(root / f"{split.name}_{kind}.txt", "".join(f"{line}\n" for line in lines))
    arrays = [f"{split.name}_{kind}.npy" for kind in _ARRAYS]
    write_checksums(root, [*arrays, *(f"{split.name}_{kind}.txt" for kind in texts), RECORD])


def _tell(split: PhotographSplit, extractor: Extractor, root: Path, journal: Journal, report: Report) -> None:
    for reason in list(journal.skipped.values())[:_NAMED]:
        report(f"passed over {reason}")
    if journal.skipped:
        report(f"passed over {counted(len(journal.skipped), 'photograph')} in all: {root / split.name}_skipped.txt")
    if journal.padded:
        report(
            f"{counted(journal.padded, 'photograph')} with fewer than {REGIONS} detections; windows fill up the regions"
        )
    report(
        f"wrote split {split.name} to {root}: {counted(journal.rows, 'photograph')}, {REGIONS} regions of "
        f"{extractor.width:,} each"
    )
