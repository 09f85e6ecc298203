"""The line that says at once that a command has begun: Hydra takes a second to import, torch and Lightning several."""

from __future__ import annotations

import sys

from selfalign import __version__, console
from selfalign.errors import UserError
from selfalign.processes.place import Place, started_from_outside

_SWEEP = ("-m", "--multirun")


def first_line(command: str) -> None:
    """Say what begins, unless the command line asks Hydra to print something (``--help``, ``--cfg job``)."""
    console.prepare()
    questions = [argument for argument in sys.argv[1:] if argument.startswith("-") and argument not in _SWEEP]
    if not questions and _is_first():
        console.say(f"selfalign {__version__} {command}: reading settings")


def _is_first() -> bool:
    """Whether this is the only process, or the first one that torchrun or srun started."""
    try:
        return (started_from_outside() or Place()).is_first
    except UserError:  # told by whoever needs the place
        return True
