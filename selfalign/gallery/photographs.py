"""A folder of photographs as a gallery: their regions by the extractor that the model remembers, beside the index."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from selfalign.errors import UserError
from selfalign.files.plain_values import read_json
from selfalign.files.whole_files import write_whole
from selfalign.photographs import Extractor
from selfalign.photographs.extraction import Source, extract_split
from selfalign.photographs.listing import Listing, list_photographs
from selfalign.photographs.pairing import splits_without_captions
from selfalign.photographs.record import read_record

SPLIT = "photographs"
_STATE = "photographs.json"
"""Which photographs they are."""


def extract_gallery(
    extractor: Extractor, photographs: Path, root: Path, say: Callable[[str], None], *, strict: bool = False
) -> None:
    """Write the regions of all photographs of a folder, or go on with it; what is there already stays.

    Args:
        extractor: of the model that will encode them.
        photographs: folder of JPEG and PNG files.
        root: folder of the regions, as split ``photographs``.
        say: takes lines about what is done.
        strict: refuse photographs that cannot be read instead of passing over them.

    Raises:
        UserError: if there are none, or ``root`` is of other photographs or of photographs that have changed since.
    """
    listing = list_photographs(photographs)
    (split,) = splits_without_captions(listing, SPLIT)
    _name_unusable(listing, say, strict=strict)
    _settle(root, photographs, split.photographs)
    if (root / f"{SPLIT}_ims.npy").exists() and not (root / f"{SPLIT}_extraction.partial").exists():
        extractor.identity.require_same(read_record(root), f"folder {root}")
        say(f"{root}: the regions are there")
    else:
        extract_split(Source(photographs, strict), split, extractor, root, say)


def _name_unusable(listing: Listing, say: Callable[[str], None], *, strict: bool) -> None:
    for name, fault in listing.unusable.items():
        if strict:
            raise UserError(f"photograph {name}: {fault}; rename it")
        say(f"passed over photograph {name}: {fault}")


def _settle(root: Path, photographs: Path, names: Sequence[str]) -> None:
    """Write down which photographs the folder is of; they must be those that it is of already."""
    state = root / _STATE
    try:
        stamps = [(name, (photographs / name).stat()) for name in names]
        lines = [f"{stamp.st_size} {stamp.st_mtime_ns} {name}" for name, stamp in stamps]
        digest = hashlib.sha256("\n".join([str(photographs.resolve()), *lines]).encode()).hexdigest()
        if not state.exists():
            root.mkdir(parents=True, exist_ok=True)
            write_whole(state, json.dumps({"photographs": digest}) + "\n")
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}") from error
    if read_json(state, "photographs") != {"photographs": digest}:
        raise UserError(
            f"photographs {photographs}: not those of {root}, or changed since; name a new folder with --out"
        )
