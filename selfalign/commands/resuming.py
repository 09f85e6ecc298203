"""``python train.py resume=RUN_FOLDER``: the configuration of a run that goes on. Nothing is written here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from selfalign.commands.hydra_record import HYDRA
from selfalign.errors import UserError
from selfalign.files.plain_values import read_yaml
from selfalign.runs.folder import CONFIG
from selfalign.runs.results import is_finished as has_results
from selfalign.settings import TrainingRun, checked, resumable

_ASKED = "resume="


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
    named = next(argument for argument in arguments if argument.startswith(_ASKED)).removeprefix(_ASKED)
    folder = Path(os.path.expanduser(named.strip("'\"")))
    config = _stored(folder)
    changes = [argument for argument in arguments if not argument.startswith(_ASKED)]
    if flags := [argument for argument in changes if argument.startswith("-")]:
        raise UserError(f"resume: {flags[0]} does not go with it; it is one run")
    names = [_allowed(override.get_key_element()) for override in OverridesParser.create().parse_overrides(changes)]
    lengths = [name for name in ("training.epochs", "trainer.max_steps") if name in names]
    if lengths and config["scheduler"]["name"] == "cosine":
        raise UserError(f"resume: {lengths[0]} cannot differ with scheduler=cosine: the rate falls to the last step")
    changed = compose(changes) if changes else {}
    for name in names:
        group, _, key = name.partition(".")
        if key:
            config[group][key] = changed[group][key]
        else:
            config[group] = changed[group]
    return config, folder.resolve()


def require_as_started(config: Mapping[str, Any], reference: Mapping[str, Any], where: Path) -> None:
    """Refuse a ``config.yaml`` that was edited: a run that goes on is the run that it was.

    Args:
        config: of the run that is to go on.
        reference: what its last checkpoint was trained with or, before the first one, what the command line made.
        where: the edited file, for the message.

    Raises:
        UserError: naming the first setting.
    """
    now, then = _flat(config), _flat(reference)
    for key in dict.fromkeys([*then, *now]):
        if any(key == name or key.startswith(f"{name}.") for name in resumable()):
            continue
        if key not in now or key not in then:
            what = "is missing" if key not in now else "is unknown"
            raise UserError(f"resume: {where}: {key} {what}; put the file back as train.py wrote it")
        if now[key] != then[key] or isinstance(now[key], bool) is not isinstance(then[key], bool):
            raise UserError(
                f"resume: {where}: {key} is {str(now[key])[:60]!r}, the run was trained with {str(then[key])[:60]!r}; "
                "put it back, or start another run"
            )


def is_finished(folder: Path, config: dict[str, Any]) -> bool:
    """Whether a run has its results and no further epochs are asked for."""
    return has_results(folder) and config["training"]["epochs"] <= _stored(folder)["training"]["epochs"]


def started_with(folder: Path) -> DictConfig:
    """Hydra's own settings when the run was started.

    Raises:
        UserError: if they are gone.
    """
    path = folder / HYDRA
    if not path.is_file():
        raise UserError(f"resume: {path} is missing; copy the run folder whole, hidden files too")
    try:
        return OmegaConf.create(read_yaml(path, "settings")).hydra
    except OmegaConfBaseException as error:
        raise UserError(f"settings {path}: damaged ({' '.join(str(error).split())[:160]})") from error


def _stored(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.is_file():
        raise UserError(
            f"resume: {str(folder)[:160]} holds no run ({CONFIG} is missing); name the folder that train.py printed"
        )
    config = read_yaml(path, "settings")
    if not isinstance(config, dict):
        raise UserError(f"settings {path}: damaged (no named values)")
    try:
        return checked({str(name): value for name, value in config.items()}, TrainingRun, record=True)
    except UserError as error:
        raise UserError(f"settings {path}: {error}") from error


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _allowed(key: str) -> str:
    may_differ = resumable()
    for name in may_differ:
        if key == name or key.startswith(f"{name}."):
            return name
    raise UserError(f"resume: {key} cannot differ from what the run was started with; only {', '.join(may_differ)} can")
