"""What is forked from the server is a process as a shell starts one, in all that the tests look at."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.starting.processes import run, run_fresh, start

SHOWS = """
import os, random, sys, numpy
print(sys.argv[1:], os.getcwd(), os.environ.get("SHOWN"), "torch" in sys.modules, sys.path[0])
print(__name__, sys.stdout.encoding, sys.stdin.read() == "")
print("a warning", file=sys.stderr)
if sys.argv[1] == "draws":
    print(random.random(), numpy.random.random())
sys.exit({"text": "error: a line", "code": 3}.get(sys.argv[1]))
"""
WAITS = """
import atexit, time
atexit.register(print, "at exit")
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.fixture
def shows(tmp_path: Path) -> str:
    (tmp_path / "shows.py").write_text(SHOWS)
    (tmp_path / "waits.py").write_text(WAITS)
    return str(tmp_path / "shows.py")


@pytest.mark.parametrize(("ending", "code", "errors"), [("ok", 0, ""), ("text", 1, "error: a line\n"), ("code", 3, "")])
def test_a_warm_process_differs_from_a_fresh_one_in_what_is_imported_only(
    shows: str, tmp_path: Path, ending: str, code: int, errors: str
) -> None:
    warm, fresh = (way(shows, ending, cwd=tmp_path, SHOWN="yes") for way in (run, run_fresh))
    assert (warm.returncode, warm.stderr) == (fresh.returncode, fresh.stderr) == (code, "a warning\n" + errors)
    assert warm.stdout == fresh.stdout.replace("yes False", "yes True")


def test_no_two_processes_draw_the_same_numbers(shows: str, tmp_path: Path) -> None:
    one, other = (run(shows, "draws", cwd=tmp_path).stdout.splitlines()[-1].split() for _ in range(2))
    assert not set(one) & set(other)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals_reach_it_and_its_exit_code_names_them(shows: str, tmp_path: Path, number: signal.Signals) -> None:
    process = start(str(tmp_path / "waits.py"), cwd=tmp_path, new_session=True)
    assert process.stdout.readline() == "ready\n"
    assert process.poll() is None
    assert os.getpgid(process.pid) == process.pid
    os.killpg(process.pid, number)
    output, errors = process.communicate(20)
    assert errors == ""
    ended = number == signal.SIGINT
    assert (process.returncode, output) == ((0, "interrupted\nat exit\n") if ended else (-number, ""))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_it_holds_no_file_of_the_server(tmp_path: Path) -> None:
    (tmp_path / "files.py").write_text("import os; print(os.listdir('/proc/self/fd'))")
    warm, fresh = (way("files.py", cwd=tmp_path).stdout for way in (run, run_fresh))
    assert warm == fresh
