"""Real gloo processes that stay alive over a test session and run functions of the test files."""

from __future__ import annotations

import importlib
import os
import socket
import sys
import traceback
from collections.abc import Callable
from multiprocessing import current_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from tests.starting.processes import ROOT, start

_PATIENCE = 120.0


class Pool:
    """``size`` processes in one group of torch.distributed; ``pool(function, ...)`` calls it in each of them.

    Args:
        size: how many.
        folder: where they meet.
    """

    def __init__(self, size: int, folder: Path) -> None:
        self.size = size
        key = bytes(current_process().authkey).hex()  # tensors travel by shared memory
        self._pipes = []
        self._processes = []
        for rank in range(size):
            here, there = socket.socketpair()
            arguments = ("-m", "tests.distributed_runner", str(rank), str(size), str(folder / "meet"), key)
            self._processes.append(start(*arguments, cwd=ROOT, stdin=there))
            self._pipes.append(Connection(here.detach()))

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """What ``function(*arguments)`` returns in each process, in order of rank; it must stand in a module."""
        for pipe in self._pipes:
            pipe.send((function.__module__, function.__qualname__, arguments))
        answers = []
        for rank, pipe in enumerate(self._pipes):
            if not pipe.poll(_PATIENCE):
                raise TimeoutError(f"process {rank} does not answer")
            answers.append(pipe.recv())
        for rank, (_, failure) in enumerate(answers):
            if failure is not None:
                raise RuntimeError(f"process {rank}:\n{failure}")
        return [result for result, _ in answers]

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.kill()
            process.communicate()


def _serve(pipe: Connection, rank: int, size: int, meeting: str) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=size)
    while True:
        module, name, arguments = pipe.recv()
        try:
            pipe.send((getattr(importlib.import_module(module), name)(*arguments), None))
        except BaseException:
            pipe.send((None, traceback.format_exc()))


if __name__ == "__main__":
    current_process().authkey = bytes.fromhex(sys.argv[4])
    _serve(Connection(os.dup(0)), int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
