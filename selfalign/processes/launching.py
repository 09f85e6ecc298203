"""Starts the processes of a run on this machine, and ends all of them when one ends badly."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfalign.errors import UserError
from selfalign.files.whole_files import write_whole
from selfalign.processes.place import Place, be, forget_others, place

_GRACE = 15.0
"""Seconds that processes have for ending by themselves once they are asked to."""
_POLL = 0.1


@dataclass(frozen=True)
class Job:
    """What every process of a run does.

    Attributes:
        name: ``train`` or ``evaluate``.
        config: resolved configuration, plain values.
        run_dir: folder of the run.
        record: text of each file that the folder keeps of what was asked for, by its path there.
    """

    name: str
    config: dict[str, Any]
    run_dir: str
    record: dict[str, str] = field(default_factory=dict)


def processes_to_start(strategy: dict[str, Any]) -> int:
    """Processes that a run needs on this machine, one a device; 1 where torchrun or SLURM has started them already.

    Raises:
        UserError: if there are no such devices.
    """
    if strategy.get("strategy") != "ddp" or place().launcher is not None:
        return 1
    devices = strategy.get("devices")
    if strategy.get("accelerator") == "cpu":
        visible = None
    else:
        import torch

        visible = torch.cuda.device_count()
        if visible == 0:
            raise UserError("strategy: ddp needs a GPU and none is visible; strategy=ddp_cpu runs on the CPU")
        devices = visible if devices in (-1, "auto") else devices
    if not isinstance(devices, int) or devices < 1 or (visible is not None and devices > visible):
        raise UserError(
            f"strategy.devices: expected a number from 1{f' to {visible}' if visible else ''}, got {devices!r}"
        )
    if strategy.get("num_nodes", 1) != 1:
        raise UserError(
            "strategy.num_nodes: several machines are started by torchrun or srun; "
            "as torchrun --nnodes=2 --nproc-per-node=8 ... train.py strategy=ddp strategy.num_nodes=2"
        )
    return devices


def run_processes(job: Job, count: int) -> None:
    """Run a job in ``count`` processes of this machine that reach each other as one DistributedDataParallel group.

    What the environment says of other groups is forgotten. Only the first one writes to the terminal. When one fails,
    the others are ended within seconds, and what is raised tells of the one that failed first.

    Raises:
        UserError: what a process had to say in one line, or which one was killed.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, which let the processes stop after their step.
    """
    forget_others()
    with tempfile.TemporaryDirectory(prefix="selfalign-") as folder:
        path = Path(folder, "job.json")
        path.write_text(json.dumps(vars(job)), encoding="utf-8")
        with _stoppable():
            processes = [_start(path, rank, count, port) for port in [_free_port()] for rank in range(count)]
            try:
                failed = _wait(processes)
            except KeyboardInterrupt:
                _end(processes)
                raise
            if failed:
                _end(processes)
                raise _cause(failed, Path(folder))


def work(job_file: Path, rank: int, size: int, perform: Callable[[Job], None]) -> None:
    """One process of :func:`run_processes`: perform the job, leave word of what went wrong, and never hang about."""
    be(Place(rank, size, "selfalign"))
    threading.Thread(target=_leave_with_parent, args=(os.getppid(),), daemon=True).start()
    try:
        perform(Job(**json.loads(job_file.read_text(encoding="utf-8"))))
    except BaseException as error:
        word = {
            "time": time.time(),
            "line": str(error) if isinstance(error, UserError) else None,
            "trace": traceback.format_exc(),
        }
        write_whole(job_file.with_name(f"error-{rank}.json"), json.dumps(word))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)  # an ordinary exit may wait for processes that no longer answer
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()


def _start(job_file: Path, rank: int, count: int, port: int) -> subprocess.Popen[bytes]:
    threads = max(1, len(os.sched_getaffinity(0)) // count) if hasattr(os, "sched_getaffinity") else 1
    environment = {"OMP_NUM_THREADS": str(threads), **os.environ} | {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "NODE_RANK": "0",
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),  # train.py may run from anywhere
    }
    return subprocess.Popen(
        [sys.executable, "-m", "selfalign.commands.worker", str(job_file), str(rank), str(count)],
        env=environment,
        stdout=None if rank == 0 else subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C reaches this process only, which lets the others stop together
    )


def _wait(processes: list[subprocess.Popen[bytes]]) -> dict[int, int]:
    """Exit codes by rank of those that failed, at the first moment that there are any; empty when all ended well."""
    while True:
        codes = [process.poll() for process in processes]
        if failed := {rank: code for rank, code in enumerate(codes) if code}:
            return failed
        if all(code == 0 for code in codes):
            return {}
        time.sleep(_POLL)


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    end = time.monotonic() + _GRACE
    for process in processes:
        try:
            process.wait(timeout=max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _cause(failed: dict[int, int], folder: Path) -> Exception:
    """The failure that came first; a process that was killed leaves no word, and the others fail because of it."""
    for rank, code in failed.items():
        if code < 0:
            name = signal.Signals(-code).name
            return UserError(f"process {rank} was ended by {name}; the others were stopped")
    words = {int(path.stem.split("-")[1]): json.loads(path.read_text()) for path in folder.glob("error-*.json")}
    if not words:
        return UserError(f"process {min(failed)} ended with exit code {failed[min(failed)]} and left no word")
    rank, word = min(words.items(), key=lambda item: item[1]["time"])
    if word["line"] is not None:
        return UserError(word["line"])
    return RuntimeError(f"process {rank} failed:\n{word['trace']}")


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM and SIGUSR1 stop the processes as Ctrl-C does."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
