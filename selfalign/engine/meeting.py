"""DistributedDataParallel whose processes do not wait for each other in silence, nor for ever."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pytorch_lightning.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from pytorch_lightning.strategies import DDPStrategy

from selfalign import console
from selfalign.processes.place import place

_SILENT = 15.0
"""Seconds in which processes of one machine usually find each other."""
_LONGEST = 300.0
"""Seconds after which a process that finds no others ends; ``SELFALIGN_MEETING_SECONDS`` changes it."""


class MeetingDDP(DDPStrategy):
    """Lightning's strategy; while the processes of a run look for each other, each says so, and ends in the end."""

    def setup_distributed(self) -> None:
        """Join the others."""
        environment = self.cluster_environment
        where = "" if environment is None else f" at {environment.main_address}:{environment.main_port}"
        with waiting_aloud(f"the other processes of this run{where} ({place().size} in all, this is {place().rank})"):
            super().setup_distributed()


def cluster_environment() -> ClusterEnvironment:
    """Lightning's view of who started this process: as it was decided, not as the environment looks."""
    return {"torchrun": TorchElasticEnvironment, "slurm": SLURMEnvironment}.get(
        place().launcher or "", LightningEnvironment
    )()


@contextmanager
def waiting_aloud(what: str, silent: float = _SILENT, longest: float | None = None) -> Iterator[None]:
    """Say on stderr what is waited for, and end the process in one line where it does not come.

    Args:
        what: waited for.
        silent: seconds before anything is said.
        longest: seconds before the process ends.
    """
    limit = longest or float(os.environ.get("SELFALIGN_MEETING_SECONDS", _LONGEST))

    def give_up() -> None:
        console.warn(
            f"error: waited {limit:.0f} s for {what}; start all of them, or unset RANK and WORLD_SIZE where they are "
            "left from elsewhere"
        )
        os._exit(1)  # the wait is inside a library that hears nothing

    timers = [threading.Timer(limit, give_up)]
    if silent < limit:
        timers.append(threading.Timer(silent, console.warn, [f"waiting for {what}; ends after {limit:.0f} s"]))
    for timer in timers:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
