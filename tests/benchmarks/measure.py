"""Times and peak memory of functions that are to be compared, taken alternately in one process."""

from __future__ import annotations

import ctypes
import gc
import statistics
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

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
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    peaks: dict[str, list[int]] = {name: [] for name in functions}
    for round_ in range(repeats + 1):
        for name, function in functions.items():
            with _PeakMemory(device) as memory:
                start = time.perf_counter()
                function()
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                elapsed = time.perf_counter() - start
            if round_:
                seconds[name].append(elapsed)
                peaks[name].append(memory.bytes)
    return {name: Measurement(statistics.median(seconds[name]), max(peaks[name])) for name in functions}


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
