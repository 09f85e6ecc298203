"""``selfalign serve`` before it serves."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path
from typing import Any

import pytest

from selfalign.commands import serve as command
from selfalign.errors import UserError


def test_without_its_libraries_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else find(name))
    assert command.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err == "error: serve: uvicorn not installed; pip install 'selfalign[demo]'\n"


def test_a_folder_that_is_no_index_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("uvicorn")
    assert command.main([str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no index" in line


def test_a_port_that_is_taken_is_one_line() -> None:
    pytest.importorskip("uvicorn")
    from selfalign.page.serving import serve

    async def nothing(*_: Any) -> None:
        """No page."""

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(UserError, match=r"--port \d+: cannot be used .*without --port one is chosen"):
            serve(nothing, other.getsockname()[1], lambda address: None)
    with pytest.raises(UserError, match="--port 99999"):
        serve(nothing, 99999, lambda address: None)
