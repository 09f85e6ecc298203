"""Real gloo processes that stay alive over a test session and run functions of the test files."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import distributed

_PATIENCE = 120.0


class Pool:
    """``size`` processes in one group of torch.distributed; ``pool(function, ...)`` calls it in each of them.

    Args:
        size: how many.
        folder: where they meet.
    """

    def __init__(self, size: int, folder: Path) -> None:
        self.size = size
        context = multiprocessing.get_context("spawn")
        self._pipes = []
        self._processes = []
        for rank in range(size):
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there, rank, size, str(folder / "meet")), daemon=True)
            process.start()
            self._pipes.append(here)
            self._processes.append(process)

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
            process.join()


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
