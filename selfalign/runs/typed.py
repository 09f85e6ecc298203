"""The command that made a run, from what its folder keeps of the command line."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from selfalign.files.plain_values import read_yaml, without_places
from selfalign.runs.jobs import OVERRIDES

_HYDRA = ".hydra/hydra.yaml"
_PROGRAMS = ("train", "eval")


def command_of(folder: Path) -> str | None:
    """The command line as it could be typed again; of absolute paths the last name stays.

    Args:
        folder: of train.py's or eval.py's run.

    Returns:
        ``None`` where the folder does not tell, as of a run that was started from Python.

    Raises:
        UserError: if what it tells is damaged.
    """
    if not (folder / OVERRIDES).is_file() or not (folder / _HYDRA).is_file():
        return None
    overrides = read_yaml(folder / OVERRIDES, "settings") or []
    program: Any = read_yaml(folder / _HYDRA, "settings")
    for part in ("hydra", "job", "name"):
        program = program.get(part) if isinstance(program, dict) else None
    if program not in _PROGRAMS or not isinstance(overrides, list):
        return None
    return " ".join(["python", f"{program}.py", *(shlex.quote(_typed(str(one))) for one in overrides)])


def _typed(override: str) -> str:
    key, equals, value = override.partition("=")
    return f"{key}{equals}{','.join(without_places(value.split(',')))}"
