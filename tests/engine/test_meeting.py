"""Processes that look for each other say so, and give up in time."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from selfalign.engine.meeting import waiting_aloud

PROGRAM = """
import time
from selfalign.engine.meeting import waiting_aloud
with waiting_aloud("the others at 10.0.0.1:29500", silent=0.2, longest=1.0):
    time.sleep(60)
"""


def test_a_wait_without_end_ends_in_one_line() -> None:
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first == "waiting for the others at 10.0.0.1:29500; ends after 1 s"
    assert second.startswith("error: waited 1 s for the others at 10.0.0.1:29500")
    assert time.monotonic() - start < 250


def test_a_short_wait_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with waiting_aloud("nobody", silent=5, longest=10):
        pass
    assert capfd.readouterr().err == ""
