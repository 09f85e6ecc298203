"""``selfalign serve DIR``: a page for an index, on this machine only. Type a sentence, see pictures, click one."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from selfalign.console import one_line, say, warn
from selfalign.errors import UserError

if TYPE_CHECKING:
    from selfalign.gallery.index import Index
    from selfalign.photographs import Extractor
    from selfalign.retriever import Retriever

_LIBRARIES = ("starlette", "uvicorn")


def main(arguments: list[str] | None = None) -> int:
    """The command; 0 after an interruption, or 2 where the index or its model cannot be read."""
    options = _parser().parse_args(arguments)
    try:
        _serve(options)
    except UserError as error:
        warn(one_line(error))
        return 2
    except KeyboardInterrupt:
        say("stopped")
    return 0


def _serve(options: argparse.Namespace) -> None:
    if missing := [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]:
        raise UserError(f"serve: {' and '.join(missing)} not installed; pip install 'selfalign[demo]'")
    say("loading PyTorch, the index and its model")
    from selfalign.gallery.closer_look import CloserLook
    from selfalign.gallery.index import Index
    from selfalign.page.application import PageAnswers, application
    from selfalign.page.serving import serve

    index = Index.open(options.index)
    model = index.load_model(options.model)
    try:
        look = CloserLook(index, model, options.data)
    except UserError as error:
        if options.data is not None:
            raise
        say(f"without the regions of words: {error}; --data names their folder")
        look = None
    answers = PageAnswers(index, model, look, options.images, _extractor(options, index, model))
    answers.search("a first sentence reads all vectors, so that the next is quick", 1)
    serve(application(answers), options.port, lambda address: say(f"{address}\nCtrl-C stops it"))


def _extractor(options: argparse.Namespace, index: Index, model: Retriever) -> Extractor | None:
    """For new photographs; ``None`` where it is not at hand and was not asked for."""
    try:
        if not index.captions:
            raise UserError("the index has no captions to answer with")
        return model.extractor(model=options.extractor, detector=options.detector)
    except UserError as error:
        if options.extractor or options.detector:
            raise
        say(f"without new photographs: {error}")
        return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="selfalign serve", description="A page for an index, on this machine only.")
    parser.add_argument("index", type=Path, metavar="DIR", help="made by selfalign index")
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1; any that is free by default")
    parser.add_argument("--model", help="where the model is now, if it has moved since")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="where the region features are now, likewise")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="where the photographs are now, likewise")
    parser.add_argument("--extractor", metavar="MODEL", help="where the extractor's vision model is now, likewise")
    parser.add_argument("--detector", metavar="MODEL", help="where its detector is now, likewise")
    return parser


if __name__ == "__main__":
    sys.exit(main())
