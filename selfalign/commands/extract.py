"""Make the layout that training reads from photographs: selfalign extract PHOTOS --out DIR --split S --model M.

selfalign extract photos --out data/mine --split test --model efficientnet-lite0
selfalign extract photos --out data/mine --split all --captions dataset_flickr8k.json --model FOLDER
selfalign extract photos --out data/mine --split train --captions captions.csv --model NAME --detector NAME
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from selfalign.console import one_line, say
from selfalign.errors import UserError, printable

_NAMED = 5


def main() -> None:
    """The command."""
    options = _parser().parse_args()
    try:
        _extract(options)
    except UserError as error:
        sys.exit(one_line(error))
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on where it was")


def _extract(options: argparse.Namespace) -> None:
    from selfalign.photographs import Extractor  # torch takes seconds
    from selfalign.photographs.extraction import Source, extract_split
    from selfalign.photographs.listing import list_photographs
    from selfalign.photographs.pairing import splits_with_captions, splits_without_captions

    listing = list_photographs(options.photographs)
    if listing.others:
        kinds = ", ".join(f"{count:,} {printable(ending, 20)}" for ending, count in listing.others.most_common(_NAMED))
        say(f"passed over files that are no JPEG or PNG: {kinds}")
    for name, fault in list(listing.unusable.items())[:_NAMED]:
        line = f"photograph {printable(name, 80)}: {fault}"
        if options.strict:
            raise UserError(f"{line}; rename it")
        say(f"passed over {line}")
    if options.captions is None:
        splits = splits_without_captions(listing, options.split)
    else:
        splits = splits_with_captions(
            listing, options.captions, options.split, options.names, say, strict=options.strict
        )
    extractor = Extractor.load(
        options.model,
        detector=options.detector,
        side=options.side,
        device=options.device,
        least_score=options.least_score,
        most_pixels=options.most_pixels,
    )
    for split in splits:
        extract_split(Source(options.photographs, options.strict), split, extractor, options.out, say)
    if options.captions is None:
        say("without captions they serve encode_images and a search, not training")
    else:
        say(f"next: selfalign check data=precomputed data.root={options.out}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="selfalign extract", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("photographs", metavar="PHOTOS", type=Path, help="folder of JPEG and PNG files, in folders too")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder to write to, one a data set")
    parser.add_argument(
        "--split", required=True, help="train, dev, test, or another name; all: each part that the captions' file tells"
    )
    parser.add_argument(
        "--model",
        required=True,
        help="efficientnet-lite0, timm:NAME, torchvision:NAME, or a vision model of transformers (hub name or folder)",
    )
    parser.add_argument(
        "--captions",
        metavar="FILE",
        type=Path,
        help="Karpathy's JSON, NAME.jpg#0, tables or plain: as convert captions",
    )
    parser.add_argument(
        "--names",
        metavar="FILE",
        type=Path,
        help="photographs of captions that name none, one a line, five captions each",
    )
    parser.add_argument(
        "--detector", metavar="MODEL", help="regions are this model's best boxes (transformers); 36 windows without"
    )
    parser.add_argument("--least-score", type=float, default=0.05, help="of a detection that is taken (%(default)s)")
    parser.add_argument(
        "--side", type=int, help="pixels of the square that the model sees; as it was trained by default"
    )
    parser.add_argument("--device", help="cpu or cuda; a GPU where there is one by default")
    parser.add_argument(
        "--most-pixels",
        type=int,
        default=100_000_000,
        help="of a photograph; larger ones are not unpacked (%(default)s)",
    )
    parser.add_argument("--strict", action="store_true", help="refuse what is passed over otherwise")
    return parser


if __name__ == "__main__":
    main()
