"""Captions of every form in which data sets hand them out → ``{split}_caps.txt`` and whose captions they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from selfalign.data.checks.checksums import write_checksums
from selfalign.data.checks.findings import counted
from selfalign.data.conversion.caption_records import caption_records
from selfalign.data.conversion.image_names import ImageNames, first_names
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
            ``{split}_image_ids.txt``, ``{split}_images.txt`` or ``{split}_ids.txt`` of the folder, or else the order of
            the captions.
        parts: of the data set that make the split; ``None`` for those that are called like it.
        most: captions of an image that are taken, the first ones, and every image needs as many; ``None`` for all that
            it has.
        again: the same captions may be there already, of a conversion that was interrupted.
    """

    root: Path
    split: str
    images: Path | None = None
    parts: tuple[str, ...] | None = None
    most: int | None = CAPTIONS_PER_IMAGE
    again: bool = False


def convert_captions(source: Path, target: CaptionTarget, report: Callable[[str], None]) -> list[str]:
    """Write the captions of a split, the image of each, and the images' names where there were none.

    Args:
        source: a caption file of any form that :func:`caption_records` reads.
        target: what to make.
        report: told in one line what was done.

    Returns:
        the names of the images in the order of the rows; numbers behind ``"\\0"`` where the form tells none.

    Raises:
        UserError: if the source cannot be read, an image has fewer captions than wanted, or the target exists.
    """
    if not target.split or set(target.split) & set("/\\\0"):
        raise UserError(f"--split: expected a name like train, got {target.split!r}")
    written = target.root / f"{target.split}_caps.txt"
    if written.exists() and not target.again:
        raise UserError(f"{written}: exists already; remove it, or choose another --split or --root")
    found, more = first_captions(source, target.parts or parts_of(target.split), target.most)
    order_file, names = _order(target)
    rows = list(found) if names is None else _in_order(found, names, source, order_file, target)
    if target.most is not None:
        there = [image for image in rows if image is not None]
        require_captions(found, there, source, target.most, "; --per-image all takes what each has")
    captions = [found[image] if image is not None else [] for image in rows]
    images = names or list(found)
    files = _files(target, images, captions, named=names is not None)
    if written.exists() and written.read_text(encoding="utf-8") != files[written.name]:
        raise UserError(
            f"{written}: exists already with other captions; remove it, or choose another --split or --root"
        )
    try:
        target.root.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_whole(target.root / name, content)
        write_checksums(target.root, list(files))
    except OSError as error:
        raise UserError(f"{target.root}: cannot be written ({error.strerror})") from error
    report(_told(captions, written, order_file, more))
    return images


def _files(
    target: CaptionTarget, images: Sequence[str], captions: Sequence[Sequence[str]], *, named: bool
) -> dict[str, str]:
    """The text files of a split by name: captions, and whose they are where their number does not say it.

    Args:
        target: what to make.
        images: the names of all rows.
        captions: of each.
        named: the names are those of the folder or of a file, not the captions' own.
    """
    split = target.split
    files = {f"{split}_caps.txt": _lines(caption for texts in captions for caption in texts)}
    if images[0].startswith("\0"):
        return files
    if not named:
        files[f"{split}_images.txt"] = _lines(images)
    five_each = all(len(texts) == CAPTIONS_PER_IMAGE for texts in captions)
    if not five_each or not (target.root / f"{split}_ids.txt").exists():
        files[f"{split}_ids.txt"] = _lines(image for image, texts in zip(images, captions, strict=True) for _ in texts)
    if not all(captions) and not (target.root / f"{split}_image_ids.txt").exists():
        files[f"{split}_image_ids.txt"] = _lines(images)
    return files


def _lines(texts: Iterable[str]) -> str:
    return "".join(f"{text}\n" for text in texts)


def _told(captions: Sequence[Sequence[str]], written: Path, order_file: Path | None, more: int) -> str:
    """What was written, in a line."""
    counts = sorted({len(texts) for texts in captions})
    each = f"{counted(counts[0], 'caption')} each" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} captions each"
    order = "in the order of the captions" if order_file is None else f"in the order of {order_file}"
    left = f"; {counted(more, 'further caption')} of them left out" if more else ""
    without = sum(not texts for texts in captions)
    bare = f"; {counted(without, 'image')} without a caption, which only the gallery has" if without else ""
    return f"wrote {counted(len(captions), 'image')} with {each}, {order}, to {written}{left}{bare}"


def parts_of(split: str) -> tuple[str, ...]:
    """What the parts of a data set are called that make a split.

    Example:
        >>> parts_of("dev")
        ('val', 'dev')
    """
    return _PARTS.get(split, (split,))


def first_captions(
    source: Path, wanted: Sequence[str], most: int | None = CAPTIONS_PER_IMAGE
) -> tuple[dict[str, list[str]], int]:
    """The first captions of every image, and how many there are beside them.

    Args:
        source: a caption file of any form that :func:`caption_records` reads.
        wanted: parts of the data set; a file that tells none is one part.
        most: captions of an image that are taken; ``None`` for all.

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
        if most is None or len(captions) < most:
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
        [target.root / f"{target.split}_{name}.txt" for name in ("image_ids", "images", "ids")]
        if target.images is None
        else [target.images]
    )
    path = next((path for path in candidates if target.images is not None or path.exists()), None)
    return path, None if path is None else read_image_ids(path)


def _in_order(
    found: dict[str, list[str]], names: Sequence[str], source: Path, order_file: Path | None, target: CaptionTarget
) -> list[str | None]:
    """The captions' images that ``names`` name, by name or by number; ``None`` where they may be without."""
    own = list(found)
    if own[0].startswith("\0"):
        raise UserError(f"captions {source}: tell no images' names, so they cannot be put in the order of {order_file}")
    known = ImageNames(own)
    rows = [known.find(name) for name in names]
    without = [row for row, place in enumerate(rows) if place is None]
    if without and (target.most is not None or len(without) == len(rows)):
        row = without[0]
        raise UserError(
            f"captions {source}: none of image {names[row]} (row {row} of {order_file}); the captions' own images are "
            f"{first_names(own)}"
        )
    places = [place for place in rows if place is not None]
    if len(set(places)) < len(places):
        image = own[next(place for place in places if places.count(place) > 1)]
        raise UserError(f"captions {source}: two rows of {order_file} are the image {image}")
    return [None if place is None else own[place] for place in rows]


def require_captions(
    found: dict[str, list[str]],
    images: Sequence[str],
    source: Path,
    count: int = CAPTIONS_PER_IMAGE,
    advice: str = "",
) -> None:
    """Refuse images with fewer captions than every image is to have.

    Raises:
        UserError: naming the first.
    """
    few = [image for image in images if len(found[image]) < count]
    if few:
        name = "the last image" if few[0].startswith("\0") else f"image {few[0]}"
        raise UserError(
            f"captions {source}: {name} has {len(found[few[0]])}, every image needs {count} "
            f"({counted(len(few), 'such image')}){advice}"
        )
