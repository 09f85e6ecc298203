"""What a loader process does when its run is told to stop."""

from __future__ import annotations

import signal


def leave_stopping_to_the_run(worker: int) -> None:
    """Live through the signals that stop a run: a terminal or a cluster sends them to the whole process group.

    The run goes on to a step that can be saved and needs its loaders until then; it ends them itself, with a SIGTERM
    where one does not answer. That has to end one, so only the first is lived through.

    Args:
        worker: number of this process; nothing depends on it.
    """
    for ignored in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(ignored, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: signal.signal(number, signal.SIG_DFL))
