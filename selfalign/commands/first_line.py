"""The line that says at once that a command has begun: Hydra takes a second to import, torch and Lightning several."""

from __future__ import annotations

import sys

from selfalign import __version__, console
from selfalign.processes.launching import is_first_process

_SWEEP = ("-m", "--multirun")


def first_line(command: str) -> None:
    """Say what begins, unless the command line asks Hydra to print something (``--help``, ``--cfg job``)."""
    console.prepare()
    questions = [argument for argument in sys.argv[1:] if argument.startswith("-") and argument not in _SWEEP]
    if not questions and is_first_process():
        console.say(f"selfalign {__version__} {command}: reading settings")
