"""``selfalign search DIR "a dog runs on the beach" --top 5``: the best images of an index, or captions of an image."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from selfalign.console import finished, say
from selfalign.errors import UserError, printable

if TYPE_CHECKING:
    from selfalign.functional.search import Hits
    from selfalign.gallery.approximate import Approximate
    from selfalign.gallery.index import Index

_LONGEST = 60
"""Characters of a caption in a table."""


def main(arguments: list[str] | None = None) -> int:
    """The command; 0, or 2 where the index or its model cannot be read."""
    options = _parser().parse_args(arguments)
    return finished(partial(_search, options))


def _search(options: argparse.Namespace) -> None:
    if bool(options.sentences) == (options.image is not None):
        raise UserError('search: expected sentences, as selfalign search DIR "a dog runs", or --image ROW')
    from selfalign.gallery.index import Index

    index = Index.open(options.index)
    if options.image is not None:
        image = index.image(options.image)
        say(f"captions of image {image.row}{'' if image.name is None else f', {printable(image.name)}'}")
        say(caption_table(index, image.row, index.search(index.vectors_of_image(image.row), options.top)))
        return
    found: Index | Approximate = index
    if options.approximate:
        from selfalign.gallery import approximate

        found = approximate.Approximate.open(index)
        say(approximate.described(found.measured))
    hits = found.search(index.load_model(options.model).encode_captions(options.sentences), options.top)
    for number, sentence in enumerate(options.sentences):
        say(f"{'' if number == 0 else chr(10)}{printable(sentence, 2000)}")
        say(image_table(index, hits, number))


def image_table(index: Index, hits: Hits, query: int) -> str:
    """What one of the queries found, best first."""
    rows = []
    for row, score in zip(hits.rows[query].tolist(), hits.scores[query].tolist(), strict=True):
        image = index.image(row)
        first = printable(index.captions[image.captions[0]], _LONGEST) if image.captions else ""
        called = [printable(image.id)] if index.has_ids else []
        rows.append([f"{score:.4f}", str(row), *called, printable(image.name or ""), first])
    last = "its first caption" if index.captions else ""
    return _aligned(["score", "image", *(["id"] if index.has_ids else []), "file", last], rows)


def caption_table(index: Index, image: int, hits: Hits) -> str:
    """The captions that an image found, best first; its own are marked."""
    own = index.image(image).captions
    rows = [
        [f"{score:.4f}", str(row), "its own" if row in own else "", printable(index.captions[row], 2 * _LONGEST)]
        for row, score in zip(hits.rows[0].tolist(), hits.scores[0].tolist(), strict=True)
    ]
    return _aligned(["score", "caption", "", "text"], rows)


def _aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    from tabulate import tabulate

    sides = ["right", "right", *["left"] * (len(header) - 2)]
    table = tabulate([header, *rows], tablefmt="plain", colalign=sides, disable_numparse=True)
    return "\n".join(line.rstrip() for line in table.split("\n"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="selfalign search",
        description="The best images of an index for sentences, or the best captions of an image.",
    )
    parser.add_argument("index", type=Path, metavar="DIR", help="made by selfalign index")
    parser.add_argument("sentences", nargs="*", metavar="SENTENCE", help="in quotes")
    parser.add_argument(
        "--image", type=int, metavar="ROW", help="search the captions for an image of the index instead"
    )
    parser.add_argument("--top", type=_count, default=5, help="answers of each (default: %(default)s)")
    parser.add_argument("--approximate", action="store_true", help="by the approximate index, if it was made")
    parser.add_argument("--model", help="where the model is now, if it has moved since")
    return parser


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"expected 1 to 1000, got {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
