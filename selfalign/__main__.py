"""The commands: ``selfalign NAME ...`` or ``python -m selfalign NAME ...``. Each is imported only when it is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from selfalign import __version__, console

COMMANDS = {
    "train": ("train a model, test it, and keep both in a run folder", "selfalign.commands.train"),
    "eval": ("evaluate trained models, alone or together", "selfalign.commands.eval"),
    "check": ("check a data set before a run needs it", "selfalign.commands.check"),
    "compare": ("compare runs on the same queries, with intervals", "selfalign.commands.compare"),
    "report": ("one page for a browser about runs: tables, curves, hard queries", "selfalign.commands.report"),
    "eccv": ("judge an evaluation of COCO by ECCV Caption and CxC", "selfalign.commands.eccv"),
    "grounding": (
        "do phrases choose the regions that they name? by Flickr30K Entities",
        "selfalign.commands.grounding",
    ),
    "published": ("show published results, and your runs of exactly those settings", "selfalign.commands.published"),
    "convert": ("make the layout that training reads from other files of features", "selfalign.commands.convert"),
    "extract": ("make the layout that training reads from photographs", "selfalign.commands.extract"),
    "export": ("write a trained model as a folder for others, or send it to the hub", "selfalign.commands.export"),
    "index": ("encode a gallery once, to search it often", "selfalign.commands.index"),
    "search": ("the best images of an index for sentences", "selfalign.commands.search"),
    "serve": ("a page for an index: type a sentence, see pictures", "selfalign.commands.serve"),
    "cache": ("list what is kept to save time, and clear it", "selfalign.commands.cache"),
    "terms": ("show what each loss of a model sees and how hard it pulls", "selfalign.commands.terms"),
    "replay": ("look into the training step that gave no number", "selfalign.commands.replay"),
}
"""What each does in one line, and the module whose ``main`` does it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Hand the command line over to its command.

    Args:
        arguments: after ``selfalign``; those of this process by default.

    Returns:
        0, or 2 for a command that is not there; a command may also end the process itself.
    """
    console.prepare()
    name, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        console.say(listing())
        return 0
    if name == "--version":
        console.say(__version__)
        return 0
    if name not in COMMANDS:
        console.warn(f"error: {name}: no such command; expected one of {', '.join(COMMANDS)}")
        return 2
    sys.argv = [f"selfalign {name}", *rest]
    return importlib.import_module(COMMANDS[name][1]).main() or 0


def listing() -> str:
    """All commands, one a line."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {what}" for name, (what, _) in COMMANDS.items()]
    usage = ["usage: selfalign COMMAND ...", "", *lines, "", "selfalign COMMAND --help says what a command takes"]
    return "\n".join(usage)


if __name__ == "__main__":
    sys.exit(main())
