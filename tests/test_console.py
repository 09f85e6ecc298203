"""What is said never ends a run, whatever the terminal is, and never commands the terminal."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from selfalign import console

ROOT = Path(__file__).parents[1]


def said(encoding: str, text: str, monkeypatch: pytest.MonkeyPatch) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    monkeypatch.setattr(sys, "stdout", stream)
    console.say(text)
    return stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "utf-8", "utf-16-le"])
def test_every_encoding_takes_every_line(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    line = said(encoding, "image → text ± 0.1 · 日本語 🐕 ★ ½ τ ≥ \ud800", monkeypatch)
    assert line.startswith("image ")
    assert line.endswith("\n")


def test_signs_are_spelled_out_where_the_terminal_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said("ascii", "i → t, 3 ± 1, 日", monkeypatch) == "i -> t, 3 +/- 1, ?\n"
    assert said("utf-8", "i → t, 3 ± 1, 日", monkeypatch) == "i → t, 3 ± 1, 日\n"


@pytest.mark.parametrize("stream", [None, "closed", "full"])
def test_a_terminal_that_is_gone_ends_nothing(stream: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    made = None if stream is None else Full() if stream == "full" else io.StringIO()
    if stream == "closed":
        assert made is not None
        made.close()
    monkeypatch.setattr(sys, "stdout", made)
    monkeypatch.setattr(sys, "stderr", made)
    console.say("text")
    console.warn("text")


def test_nothing_that_is_said_commands_the_terminal() -> None:
    for command in ("\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\r", "\x08", "\u202e", "\x00"):
        shown = console.visible(f"a{command}b")
        assert command not in shown
        assert shown.isprintable()
    assert console.visible("zwei Zeilen\n drei · 日本語 é") == "zwei Zeilen\n drei · 日本語 é"


def test_prepared_streams_take_what_libraries_write() -> None:
    code = "import sys; from selfalign import console; console.prepare(); sys.stdout.write('a → b'); print('│ 日')"
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert done.stdout == b"a -> b? ?\n"
