"""Does a phrase choose the region that it names? selfalign grounding RUN --entities FOLDER.

FOLDER is Flickr30K Entities, or anything in its format, for the captions of the run's data. Writes grounding.json and,
where there are photographs, grounding.png.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfalign.console import finished, say

if TYPE_CHECKING:
    from selfalign.engine.grounding import Grounding

RECORD, SHEET = "grounding.json", "grounding.png"
_SHOWN = 10


def main() -> int:
    """The command."""
    options = _parser().parse_args()
    return finished(lambda: _ground(options))


def _ground(options: argparse.Namespace) -> None:
    import json
    from dataclasses import asdict

    import numpy as np
    import torch

    from selfalign.engine.evaluation import quiet_libraries
    from selfalign.engine.grounding import ground
    from selfalign.engine.restoring import restore
    from selfalign.errors import UserError
    from selfalign.files.whole_files import write_whole
    from selfalign.reports.grounding_report import grounding_figures, grounding_table
    from selfalign.runs.results import environment

    quiet_libraries()
    model = restore(options.run)
    data = model.provenance.config["data"]
    root, split = options.data or Path(data["root"]), options.split or data["test_split"]
    out = options.out or (options.run if options.run.is_dir() else options.run.parent)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    found = ground(
        model, options.entities, root, split, joining=options.words, attention=options.attention, device=device
    )
    images = np.array([phrase.image for phrase in found.phrases])
    types = [phrase.types for phrase in found.phrases]
    figures = grounding_figures(found.places, found.chances, np.unique(images, return_inverse=True)[1], types)
    how: dict[str, Any] = {
        "split": split,
        "data": root.name,
        "entities": options.entities.name,
        "images": len(np.unique(images)),
        "joining": options.words,
        "scores": "attention over regions" if options.attention else "similarity",
        "left_out": dict(found.left_out),
        "cut": found.cut,
    }
    record = how | {"figures": {kind: asdict(one) for kind, one in figures.items()}} | environment()
    try:
        out.mkdir(parents=True, exist_ok=True)
        _draw(found, f"{options.run.name}, {root.name} {split}", options.images, out / SHEET)
        write_whole(out / RECORD, json.dumps(record, indent=2) + "\n")
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror})") from error
    say(grounding_table(figures, how))


def _draw(found: Grounding, title: str, images: Path | None, path: Path) -> None:
    """A few hits and misses, spread over the split, those whose photographs are there."""
    import numpy as np

    from selfalign.data.photographs import Photos
    from selfalign.engine.grounding import shown_phrase
    from selfalign.files.whole_files import whole_file
    from selfalign.reports.pictures.phrase_sheet import phrase_sheet

    photos = Photos(found.split.files, images)
    rows = np.random.default_rng(0).permutation(len(found.phrases))
    shown: dict[bool, list[Any]] = {True: [], False: []}
    for row in rows.tolist():
        right = bool(found.places[row, 0] == 1)
        if len(shown[right]) < _SHOWN and found.phrases[row].tokens:
            one = shown_phrase(found, row, photos)
            if one is None:
                return  # no photographs here
            shown[right].append(one)
    with whole_file(path) as place:
        phrase_sheet(title, shown[True], shown[False]).save(place, "PNG")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="selfalign grounding", description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder or a checkpoint")
    parser.add_argument("--entities", type=Path, required=True, metavar="FOLDER", help="with Sentences and Annotations")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="of the regions and captions; those of the run")
    parser.add_argument("--split", metavar="NAME", help="of the data; the run's test split")
    parser.add_argument("--words", choices=("mean", "max"), default="mean", help="over the words of a phrase; mean")
    parser.add_argument(
        "--attention", action="store_true", help="score by the attention that word contrast trained, not by similarity"
    )
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="the photographs, where they are elsewhere")
    parser.add_argument("--out", type=Path, metavar="DIR", help="for grounding.json and grounding.png; RUN by default")
    return parser


if __name__ == "__main__":
    sys.exit(main())
