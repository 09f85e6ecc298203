"""The loggers of a run: settings of ``logger=...``, completed by what only the commands know."""

from __future__ import annotations

import importlib.util
import netrc
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hydra.types import RunMode

from selfalign.errors import UserError
from selfalign.runs.names import run_names

WANDB_ID = "wandb_id.txt"
"""In a run folder: the id under which W&B goes on with the run."""
_WANDB_HOSTS = ("api.wandb.ai", "api.forge.coreweave.com")
"""Where wandb login has put keys, in older and newer versions."""
_WANDB_VARIABLES = {
    "project": "WANDB_PROJECT",
    "name": "WANDB_NAME",
    "group": "WANDB_RUN_GROUP",
    "job_type": "WANDB_JOB_TYPE",
    "tags": "WANDB_TAGS",
    "mode": "WANDB_MODE",
    "save_dir": "WANDB_DIR",
}
"""W&B's own variables, by the setting that would overrule each of them if it were given."""


def completed_loggers(plain: Mapping[str, Any], run_dir: Path, hydra_config: Any) -> dict[str, dict[str, Any]]:
    """The settings of each logger of a training run.

    Args:
        plain: the run's configuration.
        run_dir: its folder; nothing is written there.
        hydra_config: Hydra's own settings when the run was started.

    Raises:
        UserError: if a logger has no class, or its package is missing.
    """
    loggers = {}
    for name, settings in plain["logger"].items():
        target = settings.get("_target_", "") if isinstance(settings, dict) else ""
        if not target or not isinstance(target, str):
            raise UserError(f"logger.{name}: _target_ is missing; use files of configs/logger, as logger=wandb")
        if target.endswith(".TensorBoardLogger") and importlib.util.find_spec("tensorboard") is None:
            raise UserError("logger=tensorboard: the package is missing; pip install -e '.[tensorboard]' brings it")
        own = {key: value for key, value in settings.items() if value is not None}
        wandb = _wandb_run(plain, own, run_dir, hydra_config) if target.endswith(".WandbLogger") else {}
        loggers[name] = {"save_dir": str(run_dir)} | wandb | own
    return loggers


def _wandb_run(
    plain: Mapping[str, Any], settings: Mapping[str, Any], run_dir: Path, hydra_config: Any
) -> dict[str, Any]:
    """What a run is called at W&B, its record, and its id, which is kept in the run folder and used again from there.

    ``settings`` win over all of it, and W&B's own variables over what is only a default here.
    """
    swept = hydra_config.mode in (RunMode.MULTIRUN, RunMode.MULTIRUN.name)
    names = run_names(
        hydra_config.runtime.choices,
        list(hydra_config.overrides.task),
        plain["seed"],
        run_dir,
        Path(hydra_config.sweep.dir) if swept else None,
    )
    kept = run_dir / WANDB_ID
    earlier = kept.read_text(encoding="utf-8").strip() if kept.exists() else None
    given = None if swept else os.environ.get("WANDB_RUN_ID")  # one id for all jobs of a sweep would merge them
    defaults: dict[str, Any] = {
        "project": "selfalign",
        "group": names.group,
        "name": names.name,
        "tags": list(names.tags),
        "job_type": "train",
    }
    if "offline" not in settings and not has_wandb_key():
        defaults["mode"] = "offline"  # or W&B would ask for a key and wait
    found = {name: value for name, value in defaults.items() if not os.environ.get(_WANDB_VARIABLES[name])}
    found |= {
        "id": earlier or given or secrets.token_hex(4),
        "config": {key: value for key, value in plain.items() if key != "logger"},
        "resume": os.environ.get("WANDB_RESUME") or "allow",
    }
    if os.environ.get(_WANDB_VARIABLES["save_dir"]):
        found["save_dir"] = None
    return found


def has_wandb_key() -> bool:
    """Whether W&B could be reached without asking: a key of its server is there."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    own = urlsplit(os.environ.get("WANDB_BASE_URL", "")).netloc
    try:
        keys = netrc.netrc(os.environ.get("NETRC"))
    except (OSError, netrc.NetrcParseError):
        return False
    return any(keys.authenticators(host) is not None for host in ([own] if own else _WANDB_HOSTS))
