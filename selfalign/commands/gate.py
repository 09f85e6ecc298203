"""What a single run is refused for before Hydra makes its folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from selfalign.console import one_line
from selfalign.errors import UserError
from selfalign.processes.place import take_place
from selfalign.runs.folder import require_fresh, require_writable

_checks: list[Callable[[DictConfig], object]] = []
"""What the command of this process looks at, in order; each raises a UserError."""


def check_first(check: Callable[[DictConfig], object]) -> None:
    """Let a single run's composed configuration be looked at before anything of the run exists."""
    _checks.append(check)


class Gate(Callback):
    """Hydra's word that a single run begins; its folder is made right after."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        try:
            HydraConfig.instance().set_config(config)  # its folder's name refers to it
            folder = Path(str(config.hydra.run.dir)).absolute()
            if take_place(config.strategy).is_first:
                require_fresh(folder)
                require_writable(folder)
            for check in _checks:
                check(config)
        except UserError as error:
            sys.exit(one_line(error))  # Hydra would make a warning of an exception
