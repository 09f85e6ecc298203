"""Own files appear whole, and have one owner at a time."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from selfalign.files.locks import lock
from selfalign.files.whole_files import whole_file, write_whole

ROOT = Path(__file__).parents[2]


def test_what_was_there_stays_until_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_whole(path, "first")
    with contextlib.suppress(RuntimeError), whole_file(path) as place:
        place.write_text("half of the sec")
        assert path.read_text() == "first"
        raise RuntimeError
    assert [file.name for file in tmp_path.iterdir()] == ["record.json"]
    assert path.read_text() == "first"
    write_whole(path, b"second")
    assert path.read_text() == "second"


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "record.json"):
        pass
    assert not list(tmp_path.iterdir())


def test_the_file_before_is_kept_under_its_other_name(tmp_path: Path) -> None:
    for text in ("first", "second", "third"):
        with whole_file(tmp_path / "last", previous=tmp_path / "before") as place:
            place.write_text(text)
    assert ((tmp_path / "last").read_text(), (tmp_path / "before").read_text()) == ("third", "second")


def test_two_processes_do_not_write_into_one_unfinished_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with whole_file(tmp_path / "cache", shared=True) as one:
        monkeypatch.setattr(os, "getpid", lambda: 1)
        with whole_file(tmp_path / "cache", shared=True) as other:
            assert one != other
            other.write_text("other")
        one.write_text("one")
    assert (tmp_path / "cache").read_text() == "one"


def test_a_lock_is_held_by_one_process_and_freed_with_it(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    code = f"from selfalign.files.locks import lock; from pathlib import Path\nwith lock(Path({str(path)!r})) as s: "
    code += "print(s, flush=True); input()"
    command = [sys.executable, "-c", code]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ours\n"
        with lock(path) as state:
            assert state == "taken"
        other.kill()
    with lock(path) as state:
        assert state == "ours"


def test_a_lock_changes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("a: 1\n")
    with lock(path):
        pass
    assert path.read_text() == "a: 1\n"
