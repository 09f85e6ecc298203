"""Forks processes that have imported everything: ``python -m tests.starting.warm_server FD``, a socket to ask through.

A fresh interpreter takes eight seconds to import torch, Lightning and transformers. What is forked from here is a
process of its own in all else: arguments, environment, folder, streams, signals, exit code, and the way it ends.
Whatever is read from the environment while it is imported is not: such tests start a fresh interpreter.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

PRELOADED = (
    "torch._dynamo",
    "transformers.models.bert.modeling_bert",
    "transformers.models.bert.tokenization_bert",
    "matplotlib.pyplot",
    "matplotlib.backends.backend_agg",
    "selfalign.commands.hydra_programs",
    "selfalign.data.scenes",
    "selfalign.engine.evaluation",
    "selfalign.engine.modules.camera_module",
    "selfalign.engine.modules.vsrn_module",
    "selfalign.engine.training",
    "selfalign.losses.infonce",
    "selfalign.losses.words",
    "selfalign.runs.checkpoint",
)
WORKER = "selfalign.commands.worker"


def serve(control: socket.socket) -> dict[str, Any]:
    """Fork at each request until the socket is closed; returns in the forked processes only, what each is to be."""
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for pytest, which closes the socket
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno())
    running: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            woken.recv(4096)
        _tell_of_the_ended(running)
        if control not in ready:
            continue
        _, descriptors, _, _ = socket.recv_fds(control, 1, 4)
        if not descriptors:
            break
        answer = socket.socket(fileno=descriptors[0])
        with answer.makefile() as lines:
            request = json.loads(lines.readline())
        pid = os.fork()
        if not pid:
            for own in (control, woken, wake, answer, *running.values()):
                own.close()
            return request | {"streams": descriptors[1:]}
        for stream in descriptors[1:]:
            os.close(stream)
        running[pid] = answer
        _tell(answer, pid)
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    sys.exit()


def _tell_of_the_ended(running: dict[int, socket.socket]) -> None:
    for pid, answer in list(running.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            _tell(answer, os.waitstatus_to_exitcode(status))
            running.pop(pid).close()


def _tell(answer: socket.socket, number: int) -> None:
    with suppress(OSError):  # whoever asked is gone
        answer.sendall(b"%d\n" % number)


def become(request: dict[str, Any]) -> Callable[[], Any]:
    """Be, as far as one can from within, a process that was just started; returns what runs its program."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if request["new_session"]:
        os.setsid()
    output, errors, *given = request["streams"]
    for source, target in zip((*(given or [os.open(os.devnull, os.O_RDONLY)]), output, errors), (0, 1, 2), strict=True):
        os.dup2(source, target)
        os.close(source)
    os.chdir(request["cwd"])
    return _interpreter(request["arguments"], request["environment"])


def _interpreter(arguments: list[str], environment: dict[str, str]) -> Callable[[], Any]:
    """What depends on the environment and on chance at the start of ``python ARGUMENTS``."""
    import numpy as np
    from lightning_fabric.utilities.rank_zero import _get_rank, rank_zero_only

    os.environ.clear()
    os.environ.update(environment)
    rank_zero_only.rank = _get_rank() or 0
    np.random.seed()  # Python's own numbers are drawn afresh after a fork
    random.seed()
    gc.enable()
    module = arguments[0] == "-m"
    name, *sys.argv[1:] = arguments[1:] if module else arguments
    sys.argv[0] = name
    sys.path[:0] = [os.getcwd() if module else os.path.dirname(name)]
    if module:
        return lambda: runpy.run_module(name, run_name="__main__", alter_sys=True)
    return lambda: runpy.run_path(name, run_name="__main__")


class ForkedWorker:
    """One of the processes of a run, forked from the one that starts them; in the place of ``subprocess.Popen``."""

    def __init__(self, command: list[str], *, env: dict[str, str], stdout: int | None, start_new_session: bool) -> None:
        assert command[1:3] == ["-m", WORKER]
        assert start_new_session
        sys.stdout.flush()
        sys.stderr.flush()
        self.returncode: int | None = None
        self.pid = os.fork()
        if not self.pid:
            code = 1
            try:
                code = self._work(command[1:], env, stdout)
            finally:
                os._exit(code)  # nothing of the process that started it is to be ended twice

    def _work(self, arguments: list[str], env: dict[str, str], stdout: int | None) -> int:
        os.setsid()
        os.closerange(3, 1024)
        if stdout == subprocess.DEVNULL:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, signal.SIG_DFL)
        try:
            _interpreter(arguments, env)()
        except SystemExit as end:
            if isinstance(end.code, str):
                sys.stderr.write(f"{end.code}\n")
            return end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
        return 0

    def poll(self) -> int | None:
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        end = time.monotonic() + (float("inf") if timeout is None else timeout)
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(WORKER, timeout or 0)
            time.sleep(0.05)
        assert self.returncode is not None
        return self.returncode

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


def _fork_workers() -> None:
    from selfalign.processes import launching

    launching.subprocess = SimpleNamespace(  # type: ignore[assignment]
        Popen=ForkedWorker, DEVNULL=subprocess.DEVNULL, TimeoutExpired=subprocess.TimeoutExpired
    )


if __name__ == "__main__":
    for name in PRELOADED:
        importlib.import_module(name)
    assert threading.active_count() == 1, "a process with threads cannot be forked safely"
    gc.collect()
    gc.freeze()
    asked = serve(socket.socket(fileno=int(sys.argv[1])))
    if asked["warm_workers"]:
        _fork_workers()
    become(asked)()
