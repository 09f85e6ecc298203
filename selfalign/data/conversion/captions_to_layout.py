"""Captions of every form in which data sets hand them out → ``{split}_caps.txt``, five lines an image."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from selfalign.data.checks.checksums import write_checksums
from selfalign.data.checks.findings import counted
from selfalign.data.conversion.caption_records import caption_records
from selfalign.data.image_ids import CAPTIONS_PER_IMAGE, read_image_ids
from selfalign.errors import UserError, printable
from selfalign.files.whole_files import write_whole

_PARTS: dict[str, tuple[str, ...]] = {
    "train": ("train", "restval"),
    "dev": ("val", "dev"),
    "val": ("val", "dev"),
    "testall": ("test", "testall"),
}
"""Of Karpathy's split; ``restval`` is trained on in every published row."""
_MOST_IMAGES = 1_000_000


@dataclass(frozen=True)
class CaptionTarget:
    """What a conversion of captions makes.

    Attributes:
        root: the folder.
        split: its name.
        images: file with the images' names or numbers in the order of the features, one a line; ``None`` for
            ``{split}_ids.txt`` or ``{split}_images.txt`` of the folder, or else the order of the captions.
        parts: of the data set that make the split; ``None`` for those that are called like it.
    """

    root: Path
    split: str
    images: Path | None = None
    parts: tuple[str, ...] | None = None


def convert_captions(source: Path, target: CaptionTarget, report: Callable[[str], None]) -> None:
    """Write the captions of a split, the first five of every image, and the images' names where there were none.

    Args:
        source: a caption file of any form that :func:`caption_records` reads.
        target: what to make.
        report: told in one line what was done.

    Raises:
        UserError: if the source cannot be read, an image has fewer than five captions, or the target exists.
    """
    if not target.split or set(target.split) & set("/\\\0"):
        raise UserError(f"--split: expected a name like train, got {target.split!r}")
    written = target.root / f"{target.split}_caps.txt"
    if written.exists():
        raise UserError(f"{written}: exists already; remove it, or choose another --split or --root")
    found, more = first_captions(source, target.parts or parts_of(target.split))
    order_file, names = _order(target)
    images = list(found) if names is None else _in_order(found, names, source, order_file)
    require_five(found, images, source)
    try:
        target.root.mkdir(parents=True, exist_ok=True)
        lines = [caption for image in images for caption in found[image][:CAPTIONS_PER_IMAGE]]
        write_whole(written, "".join(f"{line}\n" for line in lines))
        files = [written.name]
        if names is None and not images[0].startswith("\0"):
            files.append(f"{target.split}_images.txt")
            write_whole(target.root / files[1], "".join(f"{image}\n" for image in images))
        write_checksums(target.root, files)
    except OSError as error:
        raise UserError(f"{target.root}: cannot be written ({error.strerror})") from error
    order = "in the order of the captions" if names is None else f"in the order of {order_file}"
    left = f"; {counted(more, 'further caption')} of them left out" if more else ""
    report(
        f"wrote {counted(len(images), 'image')} with {CAPTIONS_PER_IMAGE} captions each, {order}, to {written}{left}"
    )


def parts_of(split: str) -> tuple[str, ...]:
    """What the parts of a data set are called that make a split.

    Example:
        >>> parts_of("dev")
        ('val', 'dev')
    """
    return _PARTS.get(split, (split,))


def first_captions(source: Path, wanted: Sequence[str]) -> tuple[dict[str, list[str]], int]:
    """The first five captions of every image, and how many there are beside them.

    Args:
        source: a caption file of any form that :func:`caption_records` reads.
        wanted: parts of the data set; a file that tells none is one part.

    Returns:
        Captions by the image's name, or by ``"\\0"`` and its number where the form tells no names; and a count.

    Raises:
        UserError: if the source cannot be read, or holds nothing of the parts.
    """
    found: dict[str, list[str]] = {}
    parts: dict[str, int] = {}
    more = unnamed = 0
    for record in caption_records(source):
        caption = " ".join(record.caption.split())
        if record.part is not None:
            parts[record.part] = parts.get(record.part, 0) + 1
            if record.part not in wanted:
                continue
        if not caption:
            continue
        # A form without names has five captions an image, one after the other.
        image = f"\0{unnamed // CAPTIONS_PER_IMAGE}" if record.image is None else record.image
        unnamed += record.image is None
        captions = found.setdefault(image, [])
        if len(captions) < CAPTIONS_PER_IMAGE:
            captions.append(caption)
        else:
            more += 1
        if len(found) > _MOST_IMAGES:
            raise UserError(f"captions {source}: more than {_MOST_IMAGES:,} images")
    if not found:
        there = f"; parts there: {', '.join(map(printable, list(parts)[:10]))}; pass --parts" if parts else ""
        raise UserError(f"captions {source}: none of {' or '.join(wanted) if parts else 'any image'}{there}")
    return found, more


def _order(target: CaptionTarget) -> tuple[Path | None, list[str] | None]:
    candidates = (
        [target.root / f"{target.split}_{name}.txt" for name in ("images", "ids")]
        if target.images is None
        else [target.images]
    )
    path = next((path for path in candidates if target.images is not None or path.exists()), None)
    return path, None if path is None else read_image_ids(path)


def _in_order(found: dict[str, list[str]], names: Sequence[str], source: Path, order_file: Path | None) -> list[str]:
    """The images that ``names`` name, by name or by number."""
    if next(iter(found)).startswith("\0"):
        raise UserError(f"captions {source}: tell no images' names, so they cannot be put in the order of {order_file}")
    by_key: dict[str, str | None] = {}
    for image in found:
        for key in image_keys(image):
            by_key[key] = image if by_key.setdefault(key, image) == image else None
    images = []
    for row, name in enumerate(names):
        named = next((known for key in image_keys(name) if (known := by_key.get(key)) is not None), None)
        if named is None:
            raise UserError(f"captions {source}: none of image {name} (row {row} of {order_file})")
        images.append(named)
    return images


def image_keys(image: str) -> list[str]:
    """What an image may be called elsewhere: with or without folder and ending, or COCO's number alone."""
    stem = Path(image).stem if re.search(r"\.[A-Za-z]{3,4}$", image) else Path(image).name
    number = re.fullmatch(r"(?:COCO_[a-z]+\d+_)?0*(\d+)", stem)
    return list(dict.fromkeys([image, Path(image).name, stem, *([number[1]] if number else [])]))


def require_five(found: dict[str, list[str]], images: Sequence[str], source: Path) -> None:
    """Refuse images with fewer captions than the layout has.

    Raises:
        UserError: naming the first.
    """
    few = [image for image in images if len(found[image]) < CAPTIONS_PER_IMAGE]
    if few:
        name = "the last image" if few[0].startswith("\0") else f"image {few[0]}"
        raise UserError(
            f"captions {source}: {name} has {len(found[few[0]])}, every image needs {CAPTIONS_PER_IMAGE} "
            f"({counted(len(few), 'such image')})"
        )
