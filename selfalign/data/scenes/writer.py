"""Scenes → a folder in SCAN's layout."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from selfalign.data.scenes.composition import SIDE, compose
from selfalign.data.scenes.drawing import draw
from selfalign.data.scenes.grammar import Caption, describe
from selfalign.data.scenes.regions import REGIONS, WIDTH, features, propose
from selfalign.errors import UserError

_FORMAT = 2
"""Counted up when the same arguments come to give other files."""
_CAPTIONS = 5
_RECORD = "scenes.json"
_THREADS = min(4, os.cpu_count() or 1)
_SPLIT_NUMBERS = {"train": 0, "dev": 1, "test": 2}


def ensure_scenes(
    root: Path,
    seed: int = 0,
    train: int = 2000,
    dev: int = 200,
    test: int = 500,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Make the data set where it is missing; where it is there, it must be the one asked for.

    Raises:
        UserError: if the folder holds something else.
    """
    if not root.exists():
        try:
            write_scenes(root, seed, train, dev, test, progress)
            return
        except FileExistsError:  # a run beside this one was first
            pass
    wanted = _record(seed, {"train": train, "dev": dev, "test": test})
    try:
        found = json.loads((root / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if found != wanted:
        older = isinstance(found, dict) and found | {"format": _FORMAT} == wanted
        fault = "drawn by another version of selfalign" if older else "not the scenes asked for"
        raise UserError(
            f"data folder {root}: {fault} (seed {seed}, {train}, {dev}, {test} images); "
            "pass another data.root, or remove the folder"
        )


def write_scenes(
    root: Path,
    seed: int = 0,
    train: int = 2000,
    dev: int = 200,
    test: int = 500,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Draw the data set: the same arguments give the same files.

    Besides SCAN's files it holds the pictures, and ``{split}_alignments.npy`` (K, 6) float32: caption line, word
    index, and the true box x1 y1 x2 y2 of the object that this noun means; rows with the same caption and word are
    alternatives.

    Args:
        root: must not exist; it appears when all is written.
        seed: of everything random.
        train, dev, test: images of each split.
        progress: told in one line what is going on.

    Raises:
        UserError: if the folder cannot be written.
    """
    sizes = {"train": train, "dev": dev, "test": test}
    if min(sizes.values()) < 1:
        raise UserError(f"data.scenes: expected at least one image a split, got {sizes}")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    except OSError as error:
        raise UserError(f"data folder {root}: cannot be made ({error.strerror})") from error
    try:
        (partial / "images").mkdir()
        for split, images in sizes.items():
            if progress is not None:
                progress(f"drawing {images:,} {split} scenes into {root}")
            _write_split(partial, split, seed, images)
        (partial / _RECORD).write_text(json.dumps(_record(seed, sizes)) + "\n", encoding="utf-8")
        partial.chmod(0o755)
        try:
            partial.rename(root)
        except OSError as error:
            raise (FileExistsError(root) if root.exists() else error) from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _record(seed: int, sizes: dict[str, int]) -> dict[str, int]:
    return {"format": _FORMAT, "seed": seed, **sizes}


@dataclass(frozen=True)
class _Drawn:
    """What is kept of an image whose picture is written.

    Attributes:
        boxes, values: (R, 4) and (R, F).
        captions: what is said of it.
        picture: its file, from the folder on.
    """

    boxes: np.ndarray
    values: np.ndarray
    captions: list[Caption]
    picture: str


def _write_split(root: Path, split: str, seed: int, images: int) -> None:
    values = np.empty((images, REGIONS, WIDTH), np.float32)
    boxes = np.empty((images, REGIONS, 4), np.float32)
    captions: list[str] = []
    meanings: list[tuple[float, ...]] = []
    names: list[str] = []
    # NumPy and Pillow let other threads go on in what takes their time.
    with ThreadPoolExecutor(_THREADS) as threads:
        for image, drawn in enumerate(threads.map(partial(_draw, root, split, seed), range(images))):
            boxes[image], values[image] = drawn.boxes, drawn.values
            names.append(drawn.picture)
            for caption in drawn.captions:
                for word, things in caption.meanings:
                    meanings += [(len(captions), word, *thing.box) for thing in things]
                captions.append(caption.text)
    np.save(root / f"{split}_ims.npy", values)
    np.save(root / f"{split}_boxes.npy", boxes)
    np.save(root / f"{split}_img_sizes.npy", np.full((images, 2), SIDE, np.float32))
    np.save(root / f"{split}_alignments.npy", np.asarray(meanings, np.float32))
    _write_lines(root / f"{split}_caps.txt", captions)
    _write_lines(root / f"{split}_ids.txt", [str(line // _CAPTIONS) for line in range(len(captions))])
    _write_lines(root / f"{split}_images.txt", names)


def _draw(root: Path, split: str, seed: int, image: int) -> _Drawn:
    # Every image has a generator of its own, so that no split depends on the size of another, nor any on the threads.
    random = np.random.default_rng((seed, _SPLIT_NUMBERS[split], image))
    scene = compose(random)
    picture = draw(scene, random)
    boxes = propose(scene, random)
    name = f"images/{split}_{image:05}.png"
    picture.save(root / name, compress_level=1)  # the grain leaves little to compress
    captions = [describe(scene, random) for _ in range(_CAPTIONS)]
    return _Drawn(boxes, features(np.asarray(picture), boxes), captions, name)


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
