"""Processes that tests start: a fresh interpreter, or one that has imported everything already."""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


class Started:
    """A process that :func:`start` started; what it writes, it writes into ``stdout`` and ``stderr``.

    As ``subprocess.Popen``, of which it has what the tests use.
    """

    def __init__(self, arguments: list[str], stdout: IO[str], stderr: IO[str], answer: socket.socket) -> None:
        self.args, self.stdout, self.stderr = arguments, stdout, stderr
        self._answer = answer
        self.returncode: int | None = None
        self.pid = self._number(None)

    def _number(self, timeout: float | None) -> int:
        if not select.select([self._answer], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        digits = b""
        while not digits.endswith(b"\n"):
            digit = self._answer.recv(1)
            if not digit:
                raise RuntimeError("the server of warm processes has ended")
            digits += digit
        return int(digits)

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self.returncode = self._number(timeout)
            self._answer.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Read what is left of both streams, and wait for the end."""
        texts = ["", ""]

        def read(index: int, stream: IO[str]) -> None:
            with stream:
                texts[index] = stream.read()

        readers = [
            threading.Thread(target=read, args=item, daemon=True) for item in enumerate((self.stdout, self.stderr))
        ]
        for reader in readers:
            reader.start()
        code = self.wait(timeout)
        for reader in readers:
            reader.join(timeout)
            if reader.is_alive():  # the process is gone; one that it started holds its streams
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        assert code == self.returncode
        return texts[0], texts[1]

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@functools.cache
def _server() -> socket.socket:
    """The server of this test process, which ends with it."""
    ours, its = socket.socketpair()
    command = [sys.executable, "-m", "tests.starting.warm_server", str(its.fileno())]
    process = subprocess.Popen(  # pipes, as what is forked has: Python's streams keep what their files can do
        command,
        cwd=ROOT,
        env=ENVIRONMENT,
        pass_fds=[its.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    its.close()

    def end() -> None:
        ours.close()
        process.wait(timeout=60)

    atexit.register(end)
    return ours


def start(
    *arguments: str,
    cwd: Path,
    new_session: bool = False,
    warm_workers: bool = True,
    stdin: socket.socket | None = None,
    **variables: str,
) -> Started:
    """Start ``python ARGUMENTS`` in a process that has imported torch and all.

    Args:
        arguments: a script of the checkout, or ``-m`` and a module; then what it is given.
        cwd: its folder.
        new_session: whether it leads a group of processes of its own, as one that a shell starts.
        warm_workers: whether the processes that it starts for a run of several have imported everything, too.
        stdin: closed here; empty by default.
        variables: added to its environment; only what is read while it runs, not when a library is imported.
    """
    streams = [os.pipe() for _ in range(2)]
    ours, its = socket.socketpair()
    request = {
        "arguments": list(arguments),
        "cwd": str(cwd.absolute()),
        "environment": ENVIRONMENT | variables,
        "new_session": new_session,
        "warm_workers": warm_workers,
    }
    ours.sendall(json.dumps(request).encode() + b"\n")
    socket.send_fds(
        _server(), [b"!"], [its.fileno(), *(writing for _, writing in streams), *([stdin.fileno()] if stdin else [])]
    )
    for end in (its, stdin):
        if end is not None:
            end.close()
    for _, writing in streams:
        os.close(writing)
    stdout, stderr = (os.fdopen(reading, encoding="utf-8") for reading, _ in streams)
    return Started(list(arguments), stdout, stderr, ours)


def run(*arguments: str, cwd: Path, timeout: float = 280, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``python ARGUMENTS`` to its end, as :func:`start` does."""
    process = start(*arguments, cwd=cwd, **variables)
    try:
        stdout, stderr = process.communicate(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return subprocess.CompletedProcess(process.args, process.wait(), stdout, stderr)


def run_fresh(*arguments: str, cwd: Path, timeout: float = 280, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``python ARGUMENTS`` to its end in an interpreter of its own: where its start, or chance in it, matters."""
    environment = ENVIRONMENT | variables
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=timeout, env=environment, check=False
    )
