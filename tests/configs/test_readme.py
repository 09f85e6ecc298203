"""What the README tells a user to type is what the programs take."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.configs.test_composition import composed

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    python (train|eval)\.py ([^#\n]*)", README, re.MULTILINE)
COMMANDS += re.findall(r"`[^`]*\b(train|eval)\.py ([^`]+)`", re.sub(r"^    .*$", "", README, flags=re.MULTILINE))
_SWEPT = re.compile(r"^([\w.]+=[^,\[\]]+),.*$")


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 12


@pytest.mark.parametrize(("program", "line"), COMMANDS)
def test_every_command_composes(program: str, line: str) -> None:
    settings = [_SWEPT.sub(r"\1", word) for word in shlex.split(line) if word not in ("-m",)]
    if settings[0].startswith("resume="):
        pytest.skip("goes on with a run; tests/end_to_end/test_faults.py does it")
    composed(*settings, name=program)


def test_every_command_is_typed_the_same_in_zsh() -> None:
    """Where brackets, parentheses and wildcards outside quotes are names of files to be found."""
    for _, line in COMMANDS:
        unquoted = re.sub(r"'[^']*'", "", line)
        assert not re.search(r"[\[\]()*?]", unquoted), line
    assert not re.search(r"(?<!')logger=\[", README)


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m (selfalign\.\w+|tests\.\w+)", README))))
def test_every_module_is_there(module: str) -> None:
    name = module.removeprefix("selfalign.")
    path = Path(__file__).parents[2] / ("selfalign/commands" if name != module else "") / name.replace(".", "/")
    assert path.with_suffix(".py").exists() or (path / "__main__.py").exists()
