"""``selfalign index MODEL --data FOLDER --split test --out DIR``: encode a gallery once, to search it often.

``selfalign index MODEL data=f8k split=test --out DIR`` takes train.py's words for the data; without any, it is the test
split of the model's own data. ``selfalign index MODEL --photos FOLDER --out DIR`` extracts the regions of photographs,
into ``DIR/regions``, as those of the model's own data were. Several models are an ensemble. The same command goes on
after an interruption.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfalign.console import finished, say
from selfalign.errors import UserError

if TYPE_CHECKING:
    from selfalign.retriever import Retriever


def main(arguments: list[str] | None = None) -> int:
    """The command; 0, or 2 where the model or the data cannot be read or do not fit each other."""
    options = _parser().parse_intermixed_args(arguments)
    return finished(partial(_index, options), interrupted="interrupted; the same command goes on where it was")


@dataclass(frozen=True)
class _Gallery:
    """What is to be encoded."""

    root: Path
    split: str
    box_unit: str | None
    photographs: Path | None


def _index(options: argparse.Namespace) -> None:
    models, settings = _sorted_out(options.models)
    if (options.to is None) != (options.at is None) or (options.collection and options.to is None):
        raise UserError("--to qdrant: needs --at, the server's http://... or a folder, and --at needs --to qdrant")
    if options.photos is not None and (settings or options.data or options.split or options.images):
        raise UserError("--photos: is the whole gallery; leave out --data, --split, --images and data=")
    if options.photos is None and (options.extractor or options.detector):
        raise UserError("--extractor and --detector: are for --photos FOLDER")
    say("loading PyTorch and the model")
    import selfalign
    from selfalign.gallery.writing import write_index

    model = selfalign.load(models, device=options.device)
    if options.photos is None:
        gallery = _gallery(options, settings, model.configs[0]["data"])
    else:
        gallery = _of_photographs(options, model)
    say(f"split {gallery.split} of {gallery.root}, on {model.device}")
    record = write_index(
        model,
        options.out.expanduser(),
        gallery.root,
        gallery.split,
        box_unit=gallery.box_unit,
        photographs=gallery.photographs,
        batch_size=options.batch_size,
        say=say,
    )
    if options.to is not None:
        _to_qdrant(options)
    size = sum(file.bytes for file in record.files.values())
    if options.approximate:
        from selfalign.gallery.approximate import build, described
        from selfalign.gallery.index import Index

        say(described(build(Index.open(options.out), say).measured))
    say(f"{options.out}: {record.images:,} images and {record.captions:,} captions, {size / 1e6:,.1f} MB")


def _sorted_out(words: list[str]) -> tuple[list[str], dict[str, str]]:
    """Models, and settings of the data."""
    settings, models = {}, []
    for word in words:
        key, given, value = word.partition("=")
        if given and (key in ("data", "split") or key.startswith("data.")):
            settings[key] = value
        else:
            models.append(word)
    if not models:
        raise UserError("index: names no model; expected selfalign index MODEL --out DIR")
    return models, settings


def _gallery(options: argparse.Namespace, settings: dict[str, str], own: dict[str, Any]) -> _Gallery:
    data = own
    if words := [f"{key}={value}" for key, value in settings.items() if key != "split"]:
        from selfalign.commands.composing import composed

        data = composed(words)["data"]
    root = options.data or Path(data["root"])
    photographs = options.images or (Path(data["images"]) if data.get("images") else None)
    split = options.split or settings.get("split") or data["test_split"]
    unit = None if options.data is not None and not settings else data.get("boxes")
    return _Gallery(root.expanduser(), split, unit, None if photographs is None else photographs.expanduser())


def _to_qdrant(options: argparse.Namespace) -> None:
    """Send the finished index on."""
    from selfalign.gallery.index import Index
    from selfalign.gallery.qdrant import connected, send

    index = Index.open(options.out)
    collection = options.collection or options.out.expanduser().resolve().name
    client = connected(options.at)
    try:
        send(index, client, collection, say)
    finally:
        client.close()
    say(f"{options.at}: {index.record.images:,} images in collection {collection}")


def _of_photographs(options: argparse.Namespace, model: Retriever) -> _Gallery:
    """A folder of photographs, once its regions are extracted."""
    from selfalign.gallery.photographs import SPLIT, extract_gallery
    from selfalign.gallery.record import REGIONS

    extractor = model.extractor(model=options.extractor, detector=options.detector, device=options.device)
    photographs, root = options.photos.expanduser(), options.out.expanduser() / REGIONS
    extract_gallery(extractor, photographs, root, say, strict=options.strict)
    return _Gallery(root, SPLIT, "pixels", photographs)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="selfalign index", description="Encode a gallery once, to search it often; goes on after an interruption."
    )
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="run folders, checkpoints, exported folders or hub names; also data=f8k",
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="in SCAN's layout; that of the model by default")
    parser.add_argument("--split", help="of the data; the test split by default")
    parser.add_argument(
        "--images", type=Path, metavar="FOLDER", help="of the photographs, where not in the data's folder"
    )
    parser.add_argument(
        "--photos",
        type=Path,
        metavar="FOLDER",
        help="of photographs: JPEG and PNG, without regions yet; in place of data",
    )
    parser.add_argument(
        "--extractor", metavar="MODEL", help="with --photos: where the extractor's vision model is now, if it has moved"
    )
    parser.add_argument("--detector", metavar="MODEL", help="with --photos: the same of its detector")
    parser.add_argument("--strict", action="store_true", help="with --photos: refuse photographs that cannot be read")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the index")
    parser.add_argument(
        "--approximate", action="store_true", help="also an approximate index by FAISS, for large galleries; measured"
    )
    parser.add_argument("--to", choices=("qdrant",), help="also send the images to a vector database")
    parser.add_argument(
        "--at", metavar="ADDRESS", help="with --to: http://... of the server, or a folder of the client's"
    )
    parser.add_argument("--collection", metavar="NAME", help="with --to: its name there; that of --out by default")
    parser.add_argument("--batch-size", type=int, default=128, help="images at a time (default: %(default)s)")
    parser.add_argument("--device", help="as cuda or cpu; a GPU where there is one by default")
    return parser


if __name__ == "__main__":
    sys.exit(main())
