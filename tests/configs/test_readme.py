"""What README and docs tell a user to type is what the programs take."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from selfalign.__main__ import COMMANDS
from selfalign.commands.composing import prepared
from selfalign.data.scenes import ensure_scenes
from tests.configs import test_composition

composed = cache(test_composition.composed)  # pages repeat commands
ROOT = Path(__file__).parents[2]
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))}
OTHERS = [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
README = PAGES["README.md"]
_LINE = re.compile(r"^ {4}((?:\S+/)?(?:python|selfalign|torchrun) .*?)(?:  +#.*)?$", re.MULTILINE)
_INLINE = re.compile(r"`([^`]*(?:train\.py|eval\.py|selfalign [a-z]+ |-m selfalign)[^`]*)`")
_SWEPT = re.compile(r"^([\w./]+=)(?:interval\()?([^,\[\]()]+),.*$")
_TYPED = re.compile(r"(?:(train|eval)\.py|(?:selfalign|-m selfalign) (\w+)|-m (selfalign|tests)\.(\w+))(?: (.*))?$")


def typed() -> list[tuple[str, str, str]]:
    """Page, command and its arguments of everything that a page tells to type."""
    found = []
    for page, text in PAGES.items():
        inline = _INLINE.findall(re.sub(r"^ {4}.*$", "", text, flags=re.MULTILINE))
        for line in [*_LINE.findall(text), *(" ".join(code.split()) for code in inline)]:
            if (match := _TYPED.search(line)) is not None:
                program, command, package, module, rest = match.groups()
                name = program or command or (module if package == "selfalign" else f"tests.{module}")
                found.append((page, name, rest or ""))
    return found


TYPED = typed()


def test_the_pages_are_read() -> None:
    assert len(TYPED) > 30
    assert {name for _, name, _ in TYPED} > set(COMMANDS) - {"published"}


@pytest.mark.parametrize(("page", "name", "line"), TYPED)
def test_every_command_is_one_that_programs_take(page: str, name: str, line: str) -> None:
    words = [word.replace("...", "") for word in shlex.split(line)]
    if name.startswith("tests."):
        assert (ROOT / "tests" / name.removeprefix("tests.") / "__main__.py").exists()
    elif name in ("train", "eval"):
        _require_settings(name, words)
    elif "--help" not in words:
        options = importlib.import_module(f"selfalign.commands.{name}")._parser().parse_args(words or ["RUN"])
        if name == "check":
            composed(*options.settings)


def _require_settings(program: str, words: list[str]) -> None:
    settings = [_SWEPT.sub(r"\1\2", word) for word in words if word != "-m" and not word.startswith("--")]
    settings = [word for word in settings if word != "job"]  # --cfg job
    if settings and settings[0].startswith("resume="):
        return  # goes on with a run; tests/end_to_end/test_faults.py does it
    composed(*settings, name=program)


@pytest.mark.parametrize(("page", "name", "line"), TYPED)
def test_every_command_is_typed_the_same_in_zsh(page: str, name: str, line: str) -> None:
    """Where brackets, parentheses and wildcards outside quotes are names of files to be found."""
    assert not re.search(r"[\[\]()*?]", re.sub(r"'[^']*'|\"[^\"]*\"", "", line)), page


@pytest.mark.parametrize("page", [*PAGES, *(path.name for path in OTHERS)])
def test_every_link_leads_somewhere(page: str) -> None:
    path = ROOT / page if (ROOT / page).exists() else ROOT / "docs" / page
    for link in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            assert (path.parent / link).exists(), link


def test_the_readme_can_be_read_at_one_go() -> None:
    assert 700 <= len(README.split()) <= 900


def test_the_lines_of_python_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    ensure_scenes(root=tmp_path / "data" / "scenes", seed=0, train=60, dev=10, test=12, progress=lambda line: None)
    shutil.copytree(ROOT / "tests" / "old_runs" / "vsrn", tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(re.sub(r'load\("[^"]+"', f'load("run{os.sep}"', code), names)  # the README's own four lines
    assert names["hits"].rows.shape == (1, 5)  # type: ignore[attr-defined]
    assert len([line for line in code.splitlines() if line and not line.startswith("import")]) <= 4


@pytest.mark.parametrize("part", ["scenes", "f8k", "ablation"])
def test_every_experiment_of_the_results_is_one_that_train_takes(tmp_path: Path, part: str) -> None:
    """A seed of every setting of each sweep, as ``docs/results.sh`` types it."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nshift\nprintf '%s\\t' \"$@\"\necho\n")
    python.chmod(0o755)
    environment = os.environ | {"PYTHON": str(python), "BERT": "bert"}
    script = [shutil.which("sh") or "sh", str(ROOT / "docs" / "results.sh"), part]
    printed = subprocess.run(script, capture_output=True, text=True, check=True, env=environment).stdout
    sweeps = [line.split("\t")[:-1] for line in printed.splitlines()]
    assert len(sweeps) >= 4
    for words in sweeps:
        of_one_seed = [word.split(",")[0] if word.startswith("seed=") else word for word in words]
        assert prepared(of_one_seed, "train")[0] == "-m"
