"""Make SCAN's layout of files in other forms: selfalign convert FORM SOURCES --captions FILE --root DIR --split S.

selfalign convert tsv train_0.tsv train_1.tsv.gz --captions dataset_coco.json --root data/mine --split train
selfalign convert npz FOLDER --ids ids.txt --regions 10-100 --root data/mine --split train
selfalign convert npy features.npy --order names.txt --captions captions.csv --root data/mine --split train
selfalign convert captions dataset_flickr30k.json --root data/mine --split train
selfalign convert float16 data/f30k_precomp/train_ims.npy data/half/train_ims.npy
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from selfalign.console import one_line, say
from selfalign.data.conversion.captions_to_layout import CaptionTarget, convert_captions
from selfalign.data.conversion.half_precision import to_float16
from selfalign.data.conversion.region_formats import REGION_FORMATS, RegionFormat
from selfalign.data.conversion.regions_to_layout import RegionSources, RegionTarget, convert_regions
from selfalign.data.image_ids import read_image_ids
from selfalign.errors import UserError

_MOST = 2**16
_ALL = "all"


def main() -> None:
    """The command."""
    options = _parser().parse_args()
    try:
        options.run(options)
    except UserError as error:
        sys.exit(one_line(error))
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on where it was")


def _regions(options: argparse.Namespace) -> None:
    if (options.root / "extractor.json").exists():
        raise UserError(f"folder {options.root}: features of selfalign extract; features of two are never comparable")
    told: list[str] = []
    order = None if getattr(options, "order", None) is None else read_image_ids(options.order)
    if options.captions is None:
        images, listed = read_image_ids(options.ids), f"ids {options.ids}"
    else:
        images = convert_captions(options.captions, _caption_target(options, again=True), told.append)
        listed = f"captions {options.captions}"
        if images[0].startswith("\0"):
            raise UserError(f"{listed}: tell no images' names; pass --ids FILE for the features")
    sources = RegionSources(options.form, options.sources, order)
    target = RegionTarget(
        options.root, options.split, images, listed, options.regions, options.width, options.dtype, options.boxes
    )
    names = convert_regions(sources, target, say)
    say("; ".join([*told, f"wrote {len(images):,} images: {', '.join(names)}, SHA256SUMS"]))


def _captions(options: argparse.Namespace) -> None:
    convert_captions(options.captions, _caption_target(options, images=options.images), say)


def _caption_target(options: argparse.Namespace, *, images: Path | None = None, again: bool = False) -> CaptionTarget:
    parts = None if options.parts is None else tuple(options.parts.split(","))
    return CaptionTarget(options.root, options.split, images, parts, options.per_image, again)


def _half(options: argparse.Namespace) -> None:
    from selfalign.photographs.record import carry_record  # PyTorch takes seconds

    carry_record(options.source.parent, options.target.parent)
    rounding = to_float16(options.source, options.target)
    say(
        f"wrote {rounding.images:,} images to {options.target}; largest rounding error {rounding.largest:.3g}, "
        f"{rounding.relative:.2e} of its image's largest value"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="selfalign convert")
    commands = parser.add_subparsers(required=True)
    for form in REGION_FORMATS:
        _add_regions(commands.add_parser(form.name, help=f"{form.doc} → SCAN's layout; resumable"), form)
    captions = commands.add_parser(
        "captions", help="captions as data sets hand them out (JSON, NAME.jpg#0, tables) → one a line, and their images"
    )
    captions.set_defaults(run=_captions)
    captions.add_argument("captions", type=Path, metavar="FILE")
    _add_target(captions)
    _add_caption_options(captions)
    captions.add_argument(
        "--images", type=Path, help="names or numbers of the images in the order of the features, one a line"
    )
    half = commands.add_parser("float16", help="features that are there already, in half the precision")
    half.set_defaults(run=_half)
    half.add_argument("source", type=Path)
    half.add_argument("target", type=Path)
    return parser


def _add_regions(parser: argparse.ArgumentParser, form: RegionFormat) -> None:
    parser.set_defaults(run=_regions, form=form)
    parser.add_argument("sources", nargs="+", type=Path, help=form.sources)
    images = parser.add_mutually_exclusive_group(required=True)
    images.add_argument("--ids", type=Path, help="the images in the order of the rows to be written, one a line")
    images.add_argument(
        "--captions", type=Path, help="a file of captions: its images, and its captions are written too"
    )
    _add_target(parser)
    _add_caption_options(parser)
    if form.ordered:
        parser.add_argument("--order", type=Path, help="names of the images by row, where the sources tell none")
    parser.add_argument("--dtype", choices=("float32", "float16"), default="float32", help="of the features on disk")
    parser.add_argument(
        "--regions",
        type=_range,
        default=(36, 36),
        metavar="N|LEAST-MOST",
        help="of every image, as 36; or numbers that vary, as 10-100, filled up with zeros and counted",
    )
    parser.add_argument("--width", type=_count, help="of the features, if that of the first image is not to be taken")
    parser.add_argument("--no-boxes", dest="boxes", action="store_false", help="leave boxes and sizes out")


def _add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=Path, required=True, help="folder to write to")
    parser.add_argument("--split", required=True, help="name of the split: train, dev, test, testall")


def _add_caption_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--parts", help="parts of the data set that make the split, as train,restval")
    parser.add_argument(
        "--per-image",
        type=lambda text: None if text == _ALL else _count(text),
        default=5,
        metavar="N|all",
        help="captions of an image: the first 5, as published, which every image must have; all: what each has",
    )


def _range(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected 36 or 10-100, got {text}")
    least, most = _count(match[1]), _count(match[2] or match[1])
    if least > most:
        raise argparse.ArgumentTypeError(f"expected the least number first, got {text}")
    return least, most


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= _MOST:
        raise argparse.ArgumentTypeError(f"expected 1 to {_MOST}, got {text}")
    return value


if __name__ == "__main__":
    main()
