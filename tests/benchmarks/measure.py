"""Times and peak memory of functions that are to be compared, taken alternately."""

from __future__ import annotations

import gc
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

Factory = Callable[[], Callable[[], object]]
"""Builds what is to be timed."""


@dataclass(frozen=True)
class Measurement:
    """Of one function.

    Attributes:
        seconds: median over the repetitions, by :func:`clock`.
        peak: bytes of tensors at the highest, beyond those that were there before.
    """

    seconds: float
    peak: int


def clock(device: torch.device) -> tuple[Callable[[], float], str]:
    """What is read before and after a call, and whose seconds it counts.

    On one thread the processor's, in which other programs do not count. With more they would be the sum over the
    threads, waiting ones too, and hide what threads are for.
    """
    if device.type == "cpu" and torch.get_num_threads() == 1:
        return time.process_time, "the processor's seconds"
    return time.perf_counter, "seconds of the clock"


def compare(
    functions: Mapping[str, Callable[[], object]], repeats: int, device: torch.device
) -> dict[str, Measurement]:
    """Call every function twice, to warm up and for its memory, then all of them in turn, again and again."""
    return _alternate({name: partial(_measured, function, device) for name, function in functions.items()}, repeats)


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


def _alternate(calls: Mapping[str, Callable[[bool], float]], repeats: int) -> dict[str, Measurement]:
    peaks = {}
    for name, call in calls.items():
        call(False)
        peaks[name] = int(call(True))
    rounds = [{name: call(False) for name, call in calls.items()} for _ in range(repeats)]
    return {name: Measurement(statistics.median(found[name] for found in rounds), peaks[name]) for name in calls}


def _measured(function: Callable[[], object], device: torch.device, memory: bool) -> float:
    """Seconds of a call, or its peak of bytes if ``memory`` is asked for."""
    gc.collect()
    if memory:
        return _peak_on_gpu(function, device) if device.type == "cuda" else _peak_on_cpu(function)
    now, _ = clock(device)
    start = now()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return now() - start


def _peak_on_gpu(function: Callable[[], object], device: torch.device) -> int:
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    function()
    return torch.cuda.max_memory_allocated(device) - before


def _peak_on_cpu(function: Callable[[], object]) -> int:
    """The same of torch's CPU allocator, which keeps no such account: summed up from the profiler's trace."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        function()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace.json")
        found.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    changes = sorted((event["ts"], event["args"]["Bytes"]) for event in events if event["name"] == "[memory]")
    used = peak = 0
    for _, change in changes:
        used += change
        peak = max(peak, used)
    return peak


def _serve(factory: Factory, device: torch.device, pipe: Connection) -> None:
    torch.manual_seed(0)
    function = factory()
    while True:
        pipe.send(_measured(function, device, pipe.recv()))


def _ask(pipe: Connection, memory: bool) -> float:
    pipe.send(memory)
    return pipe.recv()
