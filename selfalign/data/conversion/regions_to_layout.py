"""Region features of every known form → SCAN's layout: streaming, in the order of the images, resumable."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from selfalign.data.checks.checksums import write_checksums
from selfalign.data.checks.findings import counted
from selfalign.data.conversion.feature_files import ArrayFile, as_dtype
from selfalign.data.conversion.image_names import ImageNames, first_names
from selfalign.data.conversion.journal import Journal, unfinished_conversion
from selfalign.data.conversion.region_formats import ImageRegions, Reader, RegionFormat, RegionRecord
from selfalign.errors import UserError
from selfalign.files.whole_files import write_whole

_IMAGES_A_NOTE = 256
_NAMED = 3
Report = Callable[[str], None]


@dataclass(frozen=True)
class RegionTarget:
    """What a conversion of region features makes.

    Attributes:
        root: the folder.
        split: its name.
        images: names or numbers of the images in the order of the rows, each once.
        listed: where they stand, for messages.
        regions: least and most that an image may have. Where these differ, images have ``most`` rows, of which those
            after their own are zero, and ``{split}_num_regions.npy`` says how many are theirs.
        width: F; ``None`` for that of the first image.
        dtype: of the features on disk, ``float16`` or ``float32``.
        boxes: write boxes and sizes where the source has them.
    """

    root: Path
    split: str
    images: Sequence[str]
    listed: str
    regions: tuple[int, int] = (36, 36)
    width: int | None = None
    dtype: str = "float32"
    boxes: bool = True

    @property
    def varies(self) -> bool:
        """Whether images may have different numbers of regions."""
        return self.regions[0] != self.regions[1]


@dataclass(frozen=True)
class RegionSources:
    """Where features come from.

    Attributes:
        form: of all of them.
        paths: files or folders, read one after the other.
        order: names of the images by row, for forms that tell none.
    """

    form: RegionFormat
    paths: Sequence[Path]
    order: Sequence[str] | None = None


def convert_regions(sources: RegionSources, target: RegionTarget, report: Report) -> list[str]:
    """Write features, the boxes and sizes that there are, the images' names and checksums of a split.

    Images that the split has not are passed over. Killed and started again, it goes on where it was.

    Args:
        sources: what to read.
        target: what to make.
        report: told in one line what went otherwise than one may expect.

    Returns:
        names of the files that were written.

    Raises:
        UserError: naming source, place and image of what is wrong, or images that are missing.
    """
    _require_possible(target)
    reader = sources.form.load()
    prefix = target.root / target.split
    journal_path = Path(f"{prefix}_conversion.partial")
    there = next((path for kind in _KINDS if (path := Path(f"{prefix}_{kind}.npy")).exists()), None)
    if there is not None and not journal_path.exists():
        raise UserError(f"{there}: exists already; remove it, or choose another --split or --root")
    known = unfinished_conversion(journal_path)
    if known is None:
        first = _first(sources, reader, target)
        known = {"width": first.features.shape[1], "boxes": first.boxes is not None}
    shapes = _shapes(target, known)
    journal = _journal(journal_path, target, shapes)
    if there is not None and len(journal.rows) < len(target.images):
        raise UserError(f"{there}: exists already, but its conversion is not finished; remove one of them")
    arrays = _arrays(target, shapes, journal)
    unfinished = [array for array in arrays.values() if array is not None]
    names = [f"{target.split}_{kind}.npy" for kind in arrays] + [f"{target.split}_image_ids.txt"]
    try:
        _fill(sources, reader, target, journal, arrays, report)
        for array in unfinished:
            array.finish()
        write_whole(target.root / names[-1], "".join(f"{image}\n" for image in target.images))
    except OSError as error:
        raise UserError(f"folder {target.root}: cannot be written ({error.strerror})") from error
    finally:
        for array in unfinished:
            array.close()
    write_checksums(target.root, names)
    journal_path.unlink()
    return names


_KINDS = ("ims", "boxes", "img_sizes", "num_regions")
_Arrays = dict[str, ArrayFile | None]
"""By kind; ``None`` for those that have got their names already."""


def _require_possible(target: RegionTarget) -> None:
    if not target.split or set(target.split) & set("/\\\0"):
        raise UserError(f"--split: expected a name like train, got {target.split!r}")
    if doubled := len(target.images) - len(set(target.images)):
        raise UserError(f"{target.listed}: {doubled:,} ids stand twice; expected one id an image")
    try:
        target.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"folder {target.root}: cannot be made ({error.strerror})") from error


def _first(sources: RegionSources, reader: Reader, target: RegionTarget) -> ImageRegions:
    """The first image that is wanted, which tells width and whether there are boxes."""
    wanted, others = ImageNames(target.images), _PassedOver()
    for record in chain.from_iterable(reader(path, 0, sources.order) for path in sources.paths):
        if wanted.find(record.image) is not None:
            return record.read()
        others.add(record.image)
    raise UserError(
        f"{target.listed}: none of its {len(target.images):,} images is in the features; the first there are "
        f"{others}, the wanted {first_names(target.images)}"
    )


def _shapes(target: RegionTarget, known: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shape of what is written of an image, by kind.

    Args:
        target: what to make.
        known: ``width`` of the features, and whether there are ``boxes``.
    """
    most = target.regions[1]
    shapes: dict[str, tuple[int, ...]] = {"ims": (most, target.width or int(known.get("width", 0)))}
    if target.boxes and known.get("boxes"):
        shapes |= {"boxes": (most, 4), "img_sizes": (2,)}
    if target.varies:
        shapes["num_regions"] = ()
    return shapes


def _journal(path: Path, target: RegionTarget, shapes: dict[str, tuple[int, ...]]) -> Journal:
    settings = {
        "images": len(target.images),
        "ids": hashlib.sha256("\n".join(target.images).encode()).hexdigest(),
        "regions": list(target.regions),
        "width": shapes["ims"][1],
        "dtype": target.dtype,
        "boxes": "boxes" in shapes,
    }
    return Journal(path, settings)


def _arrays(target: RegionTarget, shapes: dict[str, tuple[int, ...]], journal: Journal) -> _Arrays:
    arrays: _Arrays = {}
    dtypes = {"ims": target.dtype, "num_regions": "int64"}
    for kind, shape in shapes.items():
        path = target.root / f"{target.split}_{kind}.npy"
        partial = path.with_name(f"{path.name}.partial")
        if path.exists():
            arrays[kind] = None
            continue
        if journal.rows and not partial.exists():
            raise UserError(f"{partial}: is gone, but {journal.path} counts on it; remove that and start again")
        arrays[kind] = ArrayFile(path, (len(target.images), *shape), dtypes.get(kind, "float32"))
    return arrays


class _PassedOver:
    """Images of the sources that the split has not: how many, and what the first are called."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[str] = []

    def add(self, image: str) -> None:
        self.count += 1
        if len(self._first) < _NAMED:
            self._first.append(image)

    def __str__(self) -> str:
        return first_names(self._first)


def _fill(
    sources: RegionSources, reader: Reader, target: RegionTarget, journal: Journal, arrays: _Arrays, report: Report
) -> None:
    """Write every image that is still missing into ``arrays``."""
    images = target.images
    if len(journal.rows) == len(images):
        return
    if journal.rows:
        report(f"going on: {len(journal.rows):,} of {counted(len(images), 'image')} are there")
    wanted, others = ImageNames(images), _PassedOver()
    files = {kind: array for kind, array in arrays.items() if array is not None}
    with tqdm(total=len(images), initial=len(journal.rows), desc=target.split, unit=" images", disable=None) as bar:
        for path in sources.paths:
            key = _identity(path)
            records = reader(path, journal.read.get(key, 0), sources.order)
            _fill_from(records, key, target, wanted, journal, files, others, bar)
    if others.count:
        report(f"passed over {counted(others.count, 'image')} not in {target.listed}, first {others}")
    if missing := [image for row, image in enumerate(images) if row not in journal.rows]:
        known = f"; those that were passed over are called {others}" if others.count else ""
        raise UserError(
            f"{len(missing):,} of {counted(len(images), 'image')} are in none of the sources, first "
            f"{first_names(missing)}{known}; run again with the sources that hold them, what is there is kept"
        )


def _fill_from(
    records: Iterator[RegionRecord],
    key: str,
    target: RegionTarget,
    wanted: ImageNames,
    journal: Journal,
    files: dict[str, ArrayFile],
    others: _PassedOver,
    bar: tqdm,
) -> None:
    """Write the images of a source, which the journal calls ``key``."""
    fresh: list[int] = []
    end = journal.read.get(key, 0)
    for record in records:
        end = record.end
        row = wanted.find(record.image)
        if row is None:
            others.add(record.image)
            continue
        values = _values(record, target, files)
        if row in journal.rows or row in fresh:
            _require_same(record, values, row, files)
        else:
            for kind, value in values.items():
                files[kind].write(row, value)
            fresh.append(row)
            bar.update()
        if len(fresh) == _IMAGES_A_NOTE:
            _note(journal, key, end, fresh, files)
            fresh = []
    _note(journal, key, end, fresh, files)


def _values(record: RegionRecord, target: RegionTarget, files: dict[str, ArrayFile]) -> dict[str, np.ndarray]:
    """What is written of an image, filled up with zeros."""
    image = record.read()
    least, most = target.regions
    width = files["ims"].shape[2]
    count = len(image.features)
    if not least <= count <= most:
        wanted = f"{least} to {most}" if target.varies else str(most)
        advice = "--regions 10-100 takes numbers that vary" if not target.varies else "pass another --regions"
        raise UserError(f"{record.where}: {count} boxes, expected {wanted}; {advice}")
    if image.features.shape[1] != width:
        raise UserError(f"{record.where}: features {image.features.shape[1]:,} wide, expected {width:,}")
    values = {"ims": _filled(as_dtype(image.features, target.dtype, record.where), most)}
    if "boxes" in files:
        if image.boxes is None or image.size is None:
            raise UserError(f"{record.where}: no boxes, which the first image has; --no-boxes leaves them out")
        values |= {"boxes": _filled(image.boxes, most), "img_sizes": image.size}
    if "num_regions" in files:
        values["num_regions"] = np.array(count, np.int64)
    return values


def _filled(values: np.ndarray, rows: int) -> np.ndarray:
    return np.pad(values, ((0, rows - len(values)), (0, 0))) if len(values) < rows else values


def _require_same(record: RegionRecord, values: dict[str, np.ndarray], row: int, files: dict[str, ArrayFile]) -> None:
    """Extractions hold some images twice: the same is fine."""
    if any(not np.array_equal(files[kind].read(row), value) for kind, value in values.items()):
        raise UserError(f"{record.where}: stands in the sources twice, with different values; remove one")


def _note(journal: Journal, shard: str, end: int, rows: list[int], files: dict[str, ArrayFile]) -> None:
    for array in files.values():
        array.flush()  # before the journal says so
    journal.note(shard, end, rows)


def _identity(path: Path) -> str:
    """What changes when a source changes."""
    try:
        if path.is_dir():
            digest = hashlib.blake2b(digest_size=16)
            for line in sorted(_entries(path)):
                digest.update(f"{line}\n".encode("utf-8", "surrogateescape"))
            return f"{path.resolve()} {digest.hexdigest()}"
        return f"{path.resolve()} {path.stat().st_size}"
    except OSError:
        return str(path)  # which its reader cannot read, and says so


def _entries(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            yield f"{entry.name} {entry.stat().st_size}"
