"""Times and peak memory of functions that are to be compared, taken alternately in one process."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import statistics
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import torch

Factory = Callable[[], Callable[[], object]]
"""Builds what is to be timed."""
_SAMPLING = 0.002


@dataclass(frozen=True)
class Measurement:
    """Of one function.

    Attributes:
        seconds: median over the repetitions.
        peak: bytes beyond what was in use before, the largest of the repetitions.
    """

    seconds: float
    peak: int


def compare(
    functions: Mapping[str, Callable[[], object]], repeats: int, device: torch.device
) -> dict[str, Measurement]:
    """Call every function once to warm up, then all of them in turn, again and again."""
    return _alternate({name: partial(_timed, function, device) for name, function in functions.items()}, repeats)


def compare_processes(factories: Mapping[str, Factory], repeats: int, device: torch.device) -> dict[str, Measurement]:
    """The same with every function in a process of its own, of which one runs at a time."""
    context = multiprocessing.get_context("spawn")
    callers, processes = {}, []
    for name, factory in factories.items():
        here, there = context.Pipe()
        processes.append(context.Process(target=_serve, args=(factory, device, there), daemon=True))
        processes[-1].start()
        callers[name] = partial(_ask, here)
    try:
        return _alternate(callers, repeats)
    finally:
        for process in processes:
            process.kill()
            process.join()


def _alternate(calls: Mapping[str, Callable[[], tuple[float, int]]], repeats: int) -> dict[str, Measurement]:
    rounds = [{name: call() for name, call in calls.items()} for _ in range(repeats + 1)][1:]
    return {
        name: Measurement(
            statistics.median(found[name][0] for found in rounds), max(found[name][1] for found in rounds)
        )
        for name in calls
    }


def _timed(function: Callable[[], object], device: torch.device) -> tuple[float, int]:
    """Seconds and peak bytes of a call."""
    with _PeakMemory(device) as memory:
        start = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        elapsed = time.perf_counter() - start
    return elapsed, memory.bytes


def _serve(factory: Factory, device: torch.device, pipe: Connection) -> None:
    torch.manual_seed(0)
    function = factory()
    while pipe.recv():
        pipe.send(_timed(function, device))


def _ask(pipe: Connection) -> tuple[float, int]:
    pipe.send(True)
    return pipe.recv()


class _PeakMemory:
    """Peak of the device's allocator, or of this process's resident memory, sampled."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.bytes = 0

    def __enter__(self) -> _PeakMemory:
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            self._before = torch.cuda.memory_allocated(self._device)
            return self
        if sys.platform.startswith("linux"):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        self._before, self._done = _resident(), threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._device.type == "cuda":
            self.bytes = torch.cuda.max_memory_allocated(self._device) - self._before
            return
        self._done.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._done.wait(_SAMPLING):
            self.bytes = max(self.bytes, _resident() - self._before)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
