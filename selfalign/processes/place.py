"""Which of the processes of a run this one is: decided once, from the strategy of the run and from who started it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from selfalign.errors import UserError

TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun gives each of its processes; some of them alone were left behind by something else."""
_SLURM = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_STEP_ID")
_STRAY = (
    *TORCHRUN,
    *("LOCAL_WORLD_SIZE", "NODE_RANK", "GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK", "ROLE_NAME", "ROLE_WORLD_SIZE"),
    *("TORCHELASTIC_RUN_ID", "TORCHELASTIC_USE_AGENT_STORE", "TORCHELASTIC_RESTART_COUNT", "TORCHELASTIC_MAX_RESTARTS"),
    *("SLURM_PROCID", "SLURM_LOCALID", "JSM_NAMESPACE_RANK", "JSM_NAMESPACE_LOCAL_RANK", "JSM_NAMESPACE_SIZE"),
)
"""What Lightning, torch and W&B take for a place among processes, wherever it comes from."""


@dataclass(frozen=True)
class Place:
    """A process among those that do one job together.

    Attributes:
        rank: from 0; the first one writes files and talks to the terminal.
        size: how many there are.
        launcher: ``torchrun`` or ``slurm``; ``selfalign`` for processes of our own launching; ``None`` for a process
            that is alone, or is to start others.
    """

    rank: int = 0
    size: int = 1
    launcher: str | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0


_own: list[Place] = [Place()]
"""The place of this process: one element, replaced when it is decided."""


def place() -> Place:
    """The place of this process; alone until :func:`take_place` has said otherwise."""
    return _own[0]


def is_first_process() -> bool:
    """Whether this process is the one that writes files and talks to the terminal."""
    return place().is_first


def take_place(strategy: Mapping[str, Any]) -> Place:
    """Decide the place of this process in a run, and forget what the environment says of any other.

    A run of one device is alone, whatever a scheduler or another program has left in the environment.

    Args:
        strategy: the group of the configuration.

    Raises:
        UserError: if torchrun or srun has started another number of processes than the strategy needs.
    """
    if place().launcher != "selfalign":
        _own[0] = started_from_outside() or Place() if strategy.get("strategy") == "ddp" else Place()
        _require_devices(place(), strategy)
    if place().launcher is None:
        forget_others()
    return place()


def be(own: Place) -> None:
    """Be a process of our own launching."""
    _own[0] = own


def started_from_outside() -> Place | None:
    """The place that torchrun or srun gave this process; ``None`` where neither has started several."""
    environment = os.environ
    if all(environment.get(name) for name in TORCHRUN):
        return Place(_number("RANK"), _number("WORLD_SIZE"), "torchrun")
    tasks = environment.get("SLURM_STEP_NUM_TASKS") or environment.get("SLURM_NTASKS", "1")
    if all(environment.get(name) for name in _SLURM) and tasks != "1":
        return Place(_number("SLURM_PROCID"), int(tasks) if tasks.isdecimal() else 1, "slurm")
    return None


def forget_others() -> None:
    """Take out of the environment what libraries would read a place among processes from."""
    for name in _STRAY:
        os.environ.pop(name, None)


def _number(name: str) -> int:
    value = os.environ[name]
    if not value.isdecimal():
        raise UserError(f"environment: expected a number as {name}, got {value[:40]!r}; unset it")
    return int(value)


def _require_devices(own: Place, strategy: Mapping[str, Any]) -> None:
    devices, nodes = strategy.get("devices"), strategy.get("num_nodes", 1)
    if own.launcher is None or not isinstance(devices, int) or devices < 1 or not isinstance(nodes, int):
        return
    if own.size != devices * nodes:
        raise UserError(
            f"strategy: {own.launcher} started {own.size} processes, but strategy.devices={devices} and "
            f"strategy.num_nodes={nodes} make {devices * nodes}; let them agree, or unset {TORCHRUN[0]} where it is "
            "left from elsewhere"
        )
