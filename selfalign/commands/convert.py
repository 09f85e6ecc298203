"""Make SCAN's layout of features: selfalign convert tsv FILE.tsv --ids IDS.txt --root DIR --split S.

selfalign convert tsv train_0.tsv train_1.tsv.gz --ids ids.txt --root data/mine --split train
selfalign convert captions dataset_flickr30k.json --root data/mine --split train
selfalign convert float16 data/f30k_precomp/train_ims.npy data/half/train_ims.npy
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from selfalign.console import one_line, say
from selfalign.data.conversion.captions_to_layout import CaptionTarget, convert_captions
from selfalign.data.conversion.half_precision import to_float16
from selfalign.data.conversion.tsv_to_layout import Target, convert_tsv
from selfalign.errors import UserError


def main() -> None:
    """The command."""
    options = _parser().parse_args()
    try:
        if options.command == "tsv":
            target = Target(options.root, options.split, options.ids, options.regions, options.width, options.dtype)
            convert_tsv(options.files, target, say)
        elif options.command == "captions":
            parts = None if options.parts is None else tuple(options.parts.split(","))
            convert_captions(options.file, CaptionTarget(options.root, options.split, options.images, parts), say)
        else:
            from selfalign.photographs.record import carry_record  # PyTorch takes seconds

            carry_record(options.source.parent, options.target.parent)
            rounding = to_float16(options.source, options.target)
            say(
                f"wrote {rounding.images:,} images to {options.target}; largest rounding error {rounding.largest:.3g}, "
                f"{rounding.relative:.2e} of its image's largest value"
            )
    except UserError as error:
        sys.exit(one_line(error))
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on where it was")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="selfalign convert")
    commands = parser.add_subparsers(dest="command", required=True)
    tsv = commands.add_parser("tsv", help="TSV files of bottom-up attention → SCAN's layout; resumable")
    tsv.add_argument("files", nargs="+", type=Path, help="TSV files, .gz too")
    tsv.add_argument("--ids", type=Path, required=True, help="image ids in the order of the captions, one a line")
    tsv.add_argument("--root", type=Path, required=True, help="folder to write to")
    tsv.add_argument("--split", required=True, help="name of the split: train, dev, test, testall")
    tsv.add_argument("--dtype", choices=("float32", "float16"), default="float32", help="of the features on disk")
    tsv.add_argument("--regions", type=_count, default=36, help="of every image")
    tsv.add_argument("--width", type=_count, default=2048, help="of the features")
    captions = commands.add_parser(
        "captions",
        help="captions as data sets hand them out (JSON, NAME.jpg#0, tables) → five lines an image",
    )
    captions.add_argument("file", type=Path)
    captions.add_argument("--root", type=Path, required=True, help="folder to write to")
    captions.add_argument("--split", required=True, help="name of the split: train, dev, test, testall")
    captions.add_argument(
        "--images", type=Path, help="names or numbers of the images in the order of the features, one a line"
    )
    captions.add_argument("--parts", help="parts of the data set that make the split, as train,restval")
    half = commands.add_parser("float16", help="features that are there already, in half the precision")
    half.add_argument("source", type=Path)
    half.add_argument("target", type=Path)
    return parser


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 2**16:
        raise argparse.ArgumentTypeError(f"expected 1 to {2**16}, got {text}")
    return value


if __name__ == "__main__":
    main()
