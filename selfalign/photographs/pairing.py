"""Which photographs make a split, in which order, and what is said of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from selfalign.data.checks.findings import counted
from selfalign.data.conversion.caption_records import caption_records
from selfalign.data.conversion.captions_to_layout import first_captions, parts_of, require_captions
from selfalign.data.conversion.image_names import image_keys
from selfalign.data.image_ids import read_image_ids
from selfalign.errors import UserError, printable, shown
from selfalign.photographs.listing import Listing

ALL = "all"
"""Name of a split that means every part that the captions' file tells."""
_SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class PhotographSplit:
    """What is to be extracted.

    Attributes:
        name: of the split.
        photographs: names, in the order of the rows.
        captions: five of each by its name; ``None`` without captions.
    """

    name: str
    photographs: tuple[str, ...]
    captions: dict[str, list[str]] | None = None


def splits_without_captions(listing: Listing, name: str) -> list[PhotographSplit]:
    """All photographs of a folder as one split, sorted by name.

    Raises:
        UserError: if there are none, or the name is none of a split.
    """
    if name == ALL:
        raise UserError("--split all: needs --captions FILE that tells the parts, as Karpathy's dataset_*.json")
    _require_name(name)
    if not listing.names:
        raise UserError(f"photographs {listing.folder}: no JPEG or PNG there")
    return [PhotographSplit(name, listing.names)]


def splits_with_captions(
    listing: Listing,
    source: Path,
    name: str,
    names: Path | None,
    report: Callable[[str], None],
    *,
    strict: bool = False,
) -> list[PhotographSplit]:
    """The photographs that captions are of, in the captions' order.

    Args:
        listing: of the folder.
        source: a caption file of any form that ``selfalign convert captions`` reads.
        name: of the split; ``all`` for every part that the file tells.
        names: file of names, for captions without; by default ``X_images.txt`` beside ``X_caps.txt``.
        report: told in one line what has no photograph or no caption.
        strict: refuse captions without a photograph.

    Raises:
        UserError: if the captions cannot be read, tell no names, or are of none of the photographs.
    """
    wanted = _parts_there(source) if name == ALL else [name]
    splits = []
    for split in wanted:
        _require_name(split)
        captions, _ = first_captions(source, parts_of(split))
        captions = _named(captions, source, names)
        splits.append(_paired(listing, source, split, captions, report, strict=strict))
    used = {photograph for split in splits for photograph in split.photographs}
    if left := [photograph for photograph in listing.names if photograph not in used]:
        report(f"passed over {counted(len(left), 'photograph')} without captions in {source}, first {left[0]}")
    return splits


def _require_name(split: str) -> None:
    if not split or split != split.strip() or split.startswith(".") or set(split) & set("/\\\0\n\r"):
        raise UserError(f"--split: expected a name like train, got {shown(split)}")


def _parts_there(source: Path) -> list[str]:
    """The splits that a file of captions tells apart."""
    there = {record.part for record in caption_records(source)}
    named = sorted(part for part in there if part is not None)
    if not named:
        raise UserError(f"--split all: {source} tells no parts; name the split that it is")
    known = [split for split in _SPLITS if set(parts_of(split)) & there]
    others = set(named) - {part for split in known for part in parts_of(split)}
    if others:
        raise UserError(
            f"--split all: {source} has parts of other names ({', '.join(map(printable, sorted(others)[:5]))}); "
            "name one split after the other"
        )
    return known


def _named(captions: dict[str, list[str]], source: Path, names: Path | None) -> dict[str, list[str]]:
    """Captions under their photographs' names, from a second file where theirs tells none."""
    if not next(iter(captions)).startswith("\0"):
        return captions
    if names is None and source.name.endswith("_caps.txt"):
        beside = source.with_name(f"{source.name.removesuffix('_caps.txt')}_images.txt")
        names = beside if beside.exists() else None
    if names is None:
        raise UserError(f"captions {source}: tell no photographs' names; pass --names FILE, one name a line")
    order = read_image_ids(names)
    if len(order) != len(captions):
        raise UserError(f"names {names}: {len(order):,}, the captions in {source} are of {len(captions):,} photographs")
    if len(set(order)) < len(order):
        raise UserError(f"names {names}: {counted(len(order) - len(set(order)), 'name')} twice")
    return dict(zip(order, captions.values(), strict=True))


def _paired(
    listing: Listing,
    source: Path,
    split: str,
    captions: dict[str, list[str]],
    report: Callable[[str], None],
    *,
    strict: bool,
) -> PhotographSplit:
    """Captions by the names of photographs that are there."""
    by_key = _by_key(listing.names)
    found: dict[str, list[str]] = {}
    missing = []
    for image, texts in captions.items():
        photograph = _photograph(image, by_key, source)
        if photograph is None:
            missing.append(image)
        elif photograph in found:
            raise UserError(f"captions {source}: two images of it are the photograph {photograph}, second {image}")
        else:
            found[photograph] = texts
    if not found:
        first = listing.names[0] if listing.names else "none"
        raise UserError(
            f"captions {source}: of none of the photographs in {listing.folder}; the captions' first image is "
            f"{missing[0]}, the folder's {first}"
        )
    if missing:
        words = (
            f"{counted(len(missing), 'image')} of split {split} in {source} without a photograph, first {missing[0]}"
        )
        if strict:
            raise UserError(f"{words}; --strict wants them all")
        report(f"passed over {words}")
    require_captions(found, list(found), source)
    return PhotographSplit(split, tuple(found), found)


def _by_key(photographs: Sequence[str]) -> dict[str, list[str]]:
    """Photographs by everything that captions may call them."""
    by_key: dict[str, list[str]] = {}
    for photograph in photographs:
        for key in image_keys(photograph):
            by_key.setdefault(key, []).append(photograph)
    return by_key


def _photograph(image: str, by_key: dict[str, list[str]], source: Path) -> str | None:
    """The photograph that captions call ``image``: by its whole name, or the part of it that both have."""
    for key in image_keys(image):
        candidates = by_key.get(key, [])
        if image in candidates:
            return image
        if len(candidates) > 1:
            raise UserError(
                f"captions {source}: image {image} may be {candidates[0]} or {candidates[1]}; "
                "name it with its folder and ending"
            )
        if candidates:
            return candidates[0]
    return None
