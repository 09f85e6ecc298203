"""What a dashboard calls a run, so that a sweep can be read there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LONGEST = 128  # of W&B's groups and names
_IN_GROUP = ("backbone", "loss", "data")
_SAYS_NOTHING = ("logger", "seed", *_IN_GROUP)


@dataclass(frozen=True)
class RunNames:
    """Names of a run.

    Attributes:
        group: of runs that belong together: the sweep's folder, or ``backbone-loss-data``.
        name: the job's folder, or what was set on the command line, with the seed.
        tags: backbone, loss and data.
    """

    group: str
    name: str
    tags: tuple[str, ...]


def run_names(
    choices: Mapping[str, str], overrides: Sequence[str], seed: Any, run_dir: Path, sweep_dir: Path | None
) -> RunNames:
    """Name a run.

    Args:
        choices: option of each group of configs.
        overrides: settings as they were typed, ``key=value``.
        seed: of the run.
        run_dir: its folder.
        sweep_dir: folder of the sweep; ``None`` for a single run.
    """
    tags = tuple(str(choices[group]) for group in _IN_GROUP)
    if sweep_dir is not None:
        return RunNames(_fitting(sweep_dir.name), _fitting(run_dir.name), tags)
    pairs = [override.lstrip("+~").partition("=") for override in overrides]
    said = [
        f"{'.'.join(key.split('.')[-2:])}={value}"
        for key, _, value in pairs
        if key not in _SAYS_NOTHING and not key.startswith("logger.")
    ]
    ending = f"seed={seed}"
    start = ",".join(said)[: _LONGEST - len(ending) - 1]
    return RunNames(_fitting("-".join(tags)), f"{start},{ending}" if start else ending, tags)


def _fitting(name: str) -> str:
    return name[-_LONGEST:]  # a long folder's name ends in its digest
