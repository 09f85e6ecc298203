"""TSV files of bottom-up attention → SCAN's layout: streaming, in the order of the captions, resumable."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from selfalign.data.checks.checksums import write_checksums
from selfalign.data.conversion.feature_files import ArrayFile, as_dtype
from selfalign.data.conversion.feature_tsv import TsvRow, tsv_rows
from selfalign.data.image_ids import read_image_ids
from selfalign.errors import UserError
from selfalign.files.whole_files import write_whole

_IMAGES_A_NOTE = 256


@dataclass(frozen=True)
class Target:
    """What a conversion makes.

    Attributes:
        root: the folder.
        split: its name.
        ids: file with the images' ids in the order of the captions.
        regions: R.
        width: F.
        dtype: of the features on disk, ``float16`` or ``float32``.
    """

    root: Path
    split: str
    ids: Path
    regions: int = 36
    width: int = 2048
    dtype: str = "float32"


class _Journal:
    """What is safely on the disk: a first line that names the conversion, then one line for every few images."""

    def __init__(self, path: Path, conversion: dict[str, Any]) -> None:
        self.path = path
        self.rows: set[int] = set()
        self.read: dict[str, int] = {}
        try:
            lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
            first, *notes = [json.loads(line) for line in lines] or [None]
            for note in notes:
                self.rows.update(note["rows"])
                self.read[note["shard"]] = note["end"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: not a journal of a conversion; remove it and start again") from error
        if first is None:
            path.write_text(json.dumps(conversion) + "\n", encoding="utf-8")
        elif first != conversion:
            changed = next(name for name in conversion if first.get(name) != conversion[name])
            raise UserError(
                f"{path}: an unfinished conversion with another {changed} ({first.get(changed)}); "
                "finish it with the same settings, or remove the .partial files"
            )
        else:
            path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")  # less a note that was cut

    def note(self, shard: str, end: int, rows: list[int]) -> None:
        """Remember that ``rows`` and everything of ``shard`` up to byte ``end`` is on the disk."""
        self.rows.update(rows)
        self.read[shard] = end
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"shard": shard, "end": end, "rows": rows}) + "\n")
            file.flush()
            os.fsync(file.fileno())


def convert_tsv(shards: Sequence[Path], target: Target, report: Callable[[str], None]) -> None:
    """Write features, boxes, sizes, ids and checksums of a split.

    Images of other splits in the TSV files are passed over. Killed and started again, it goes on where it was.

    Args:
        shards: TSV files.
        target: what to make.
        report: told in one line what was done.

    Raises:
        UserError: naming file, line and image of what is wrong, or images that are missing.
    """
    if not target.split or set(target.split) & set("/\\\0"):
        raise UserError(f"--split: expected a name like train, got {target.split!r}")
    ids = _ids(target)
    prefix = target.root / target.split
    paths = [Path(f"{prefix}_{name}.npy") for name in ("ims", "boxes", "img_sizes")]
    journal_path = Path(f"{prefix}_conversion.partial")
    if not journal_path.exists() and (there := [path for path in paths if path.exists()]):
        raise UserError(f"{there[0]}: exists already; remove it, or choose another --split or --root")
    digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()
    settings = {name: value for name, value in asdict(target).items() if name in ("regions", "width", "dtype")}
    journal = _Journal(journal_path, {"images": len(ids), "ids": digest, **settings})
    finished = [path for path in paths if path.exists()]
    if finished and len(journal.rows) < len(ids):
        raise UserError(f"{finished[0]}: exists already, but its conversion is not finished; remove one of them")
    arrays = _arrays(target, len(ids), [path for path in paths if path not in finished], journal)
    _fill(shards, target, ids, journal, arrays, report)
    for array in arrays:
        array.finish()
    names = [path.name for path in paths]
    ids_path = Path(f"{prefix}_ids.txt")
    if not ids_path.exists():
        write_whole(ids_path, "".join(f"{identity}\n" for identity in ids))
    write_checksums(target.root, [*names, ids_path.name])
    journal_path.unlink()
    report(f"wrote {len(ids):,} images: {', '.join(names)}, {ids_path.name}, SHA256SUMS")


def _arrays(target: Target, images: int, paths: list[Path], journal: _Journal) -> list[ArrayFile]:
    shapes = {"ims": (target.regions, target.width), "boxes": (target.regions, 4), "img_sizes": (2,)}
    arrays = []
    for path in paths:
        kind = path.stem.removeprefix(f"{target.split}_")
        dtype = target.dtype if kind == "ims" else "float32"
        partial = path.with_name(f"{path.name}.partial")
        if journal.rows and not partial.exists():
            raise UserError(f"{partial}: is gone, but {journal.path} counts on it; remove that and start again")
        arrays.append(ArrayFile(path, (images, *shapes[kind]), dtype))
    return arrays


def _ids(target: Target) -> list[str]:
    ids = read_image_ids(target.ids)
    if len(set(ids)) < len(ids):
        raise UserError(f"ids {target.ids}: {len(ids) - len(set(ids)):,} ids stand twice; expected one id an image")
    try:
        target.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"folder {target.root}: cannot be made ({error.strerror})") from error
    return ids


def _fill(
    shards: Sequence[Path],
    target: Target,
    ids: list[str],
    journal: _Journal,
    arrays: list[ArrayFile],
    report: Callable[[str], None],
) -> None:
    """Write every image that is still missing into ``arrays``."""
    if len(journal.rows) == len(ids):
        return
    if journal.rows:
        report(f"going on: {len(journal.rows):,} of {len(ids):,} images are there")
    rows = {identity: row for row, identity in enumerate(ids)}
    others = 0
    try:
        with tqdm(total=len(ids), initial=len(journal.rows), desc=target.split, unit=" images", disable=None) as bar:
            for shard in shards:
                others += _fill_from(shard, target, rows, journal, arrays, bar)
    except OSError as error:
        raise UserError(f"folder {target.root}: cannot be written ({error.strerror})") from error
    finally:
        for array in arrays:
            array.flush()
    if others:
        report(f"passed over {others:,} images that are not in {target.ids}")
    if missing := [identity for row, identity in enumerate(ids) if row not in journal.rows]:
        raise UserError(
            f"{len(missing):,} of {len(ids):,} images are in none of the TSV files, first {missing[0]}; "
            "run again with the files that hold them, what is there is kept"
        )


def _fill_from(
    shard: Path, target: Target, rows: dict[str, int], journal: _Journal, arrays: list[ArrayFile], bar: tqdm
) -> int:
    """Write the images of a shard; how many of its images are not wanted."""
    key = f"{shard.resolve()} {shard.stat().st_size}" if shard.exists() else str(shard)
    fresh: list[int] = []
    others, end = 0, journal.read.get(key, 0)
    for line in tsv_rows(shard, end):
        end = line.end
        row = rows.get(line.image)
        if row is None:
            others += 1
            continue
        values = _values(line, target)
        if row in journal.rows or row in fresh:
            _require_same(line, values, row, arrays)
        else:
            for array, value in zip(arrays, values, strict=True):
                array.write(row, value)
            fresh.append(row)
            bar.update()
        if len(fresh) == _IMAGES_A_NOTE:
            _note(journal, key, end, fresh, arrays)
            fresh = []
    _note(journal, key, end, fresh, arrays)
    return others


def _values(line: TsvRow, target: Target) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    image = line.decode(target.regions, target.width)
    return as_dtype(image.features, target.dtype, str(line)), image.boxes, image.size


def _require_same(line: TsvRow, values: Sequence[np.ndarray], row: int, arrays: list[ArrayFile]) -> None:
    """Extractions hold some images twice: the same is fine."""
    if any(not np.array_equal(array.read(row), value) for array, value in zip(arrays, values, strict=True)):
        raise UserError(f"{line}: stands in the files twice, with different values; remove one")


def _note(journal: _Journal, shard: str, end: int, rows: list[int], arrays: list[ArrayFile]) -> None:
    for array in arrays:
        array.flush()  # before the journal says so
    journal.note(shard, end, rows)
