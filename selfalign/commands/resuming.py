"""``python train.py resume=RUN_FOLDER``: the configuration of a run that goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from selfalign.errors import UserError
from selfalign.runs.folder import CONFIG
from selfalign.settings import TrainingRun, checked, resumable

_ASKED = "resume="
_RESULTS = "results.json"


def resumed_configuration(
    arguments: Sequence[str], compose: Callable[[Sequence[str]], dict[str, Any]]
) -> tuple[dict[str, Any], Path]:
    """The stored configuration with what may differ, and the run folder.

    Args:
        arguments: of the command line.
        compose: overrides → train.py's configuration.

    Raises:
        UserError: if the folder holds no run, or something else is to differ.
    """
    folder = Path(next(argument for argument in arguments if argument.startswith(_ASKED)).removeprefix(_ASKED))
    config = _stored(folder)
    changes = [argument for argument in arguments if not argument.startswith(_ASKED)]
    if flags := [argument for argument in changes if argument.startswith("-")]:
        raise UserError(f"resume: {flags[0]} does not go with it; it is one run")
    names = [_allowed(override.get_key_element()) for override in OverridesParser.create().parse_overrides(changes)]
    changed = compose(changes) if changes else {}
    for name in names:
        group, _, key = name.partition(".")
        if key:
            config[group][key] = changed[group][key]
        else:
            config[group] = changed[group]
    return config, folder.resolve()


def is_finished(folder: Path, config: dict[str, Any]) -> bool:
    """Whether a run has its results and no further epochs are asked for."""
    try:
        json.loads((folder / _RESULTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return config["training"]["epochs"] <= _stored(folder)["training"]["epochs"]


def set_results_aside(folder: Path) -> None:
    """Keep the results of fewer epochs under another name: they must not pass for those of the run that goes on."""
    results = folder / _RESULTS
    if results.exists():
        results.replace(folder / f"results_of_{_stored(folder)['training']['epochs']}_epochs.json")


def started_with(folder: Path) -> DictConfig:
    """Hydra's own settings when the run was started.

    Raises:
        UserError: if they are gone.
    """
    path = folder / ".hydra" / "hydra.yaml"
    if not path.is_file():
        raise UserError(f"resume: {path} is missing; copy the run folder whole, hidden files too")
    return OmegaConf.load(path).hydra


def _stored(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.is_file():
        raise UserError(f"resume: {folder} holds no run ({CONFIG} is missing); name the folder that train.py printed")
    try:
        config = OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, OmegaConfBaseException, ValueError) as error:
        raise UserError(f"resume: {path} is damaged ({' '.join(str(error).split())[:160]})") from error
    if not isinstance(config, dict) or not isinstance(config.get("training"), dict):
        raise UserError(f"resume: {path} is damaged (no training settings)")
    try:
        return checked({str(name): value for name, value in config.items()}, TrainingRun, record=True)
    except UserError as error:
        raise UserError(f"resume: {path}: {error}") from error


def _allowed(key: str) -> str:
    may_differ = resumable()
    for name in may_differ:
        if key == name or key.startswith(f"{name}."):
            return name
    raise UserError(f"resume: {key} cannot differ from what the run was started with; only {', '.join(may_differ)} can")
