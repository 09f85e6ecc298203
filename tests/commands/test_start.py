"""A command answers at once: help needs no torch, and a run says that it begins before it imports any library."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from selfalign import __version__
from selfalign.__main__ import COMMANDS, main
from tests.end_to_end.commands import run

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "pytorch_lightning", "transformers", "matplotlib", "wandb", "sympy", "scipy", "hydra", "nltk")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


def imported(*arguments: str) -> tuple[str, set[str]]:
    """Standard output of Python with ``arguments``, and the top-level packages that it imported."""
    command = [sys.executable, "-X", "importtime", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=True, timeout=60)
    lines = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")]
    return done.stdout, {name.partition(".")[0] for name in lines}


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("train", "eval")])
def test_help_imports_nothing_that_takes_long(name: str) -> None:
    """Of train and eval, Hydra prints the help."""
    shown, packages = imported("-m", "selfalign", name, "--help")
    assert shown.startswith(f"usage: selfalign {name}")
    assert not packages & set(HEAVY)


@pytest.mark.parametrize("code", ["import selfalign", "from selfalign import __main__"])
def test_importing_the_package_costs_no_library(code: str) -> None:
    _, packages = imported("-c", code)
    assert not packages & {*HEAVY, "numpy", "yaml", "tqdm"}


def test_a_run_says_that_it_begins_before_it_imports_a_library(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-X", "importtime", str(ROOT / "train.py"), "no_such_setting=1"]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path, env=ENVIRONMENT, timeout=60
    )
    begin = done.stdout.index(f"selfalign {__version__} train: reading settings")
    assert re.search(r"\| +hydra$", done.stdout[begin:], re.MULTILINE)
    assert not re.search(rf"\| +({'|'.join(HEAVY)})$", done.stdout[:begin], re.MULTILINE)


@pytest.mark.parametrize("question", [("--cfg", "job"), ("--help",)])
def test_what_hydra_prints_is_not_preceded_by_our_line(question: tuple[str, ...]) -> None:
    done = run("train.py", *question, cwd=ROOT)
    assert done.returncode == 0
    assert "reading settings" not in done.stdout


def test_every_command_is_listed_and_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    for name, (what, module) in COMMANDS.items():
        assert f"{name} " in shown
        assert what in shown
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file()


def test_an_unknown_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"error: trian: no such command; expected one of {', '.join(COMMANDS)}"
    ]


def test_the_settings_are_found_in_a_checkout_and_in_an_installed_package() -> None:
    """The wheel takes them through the link ``selfalign/configs``."""
    assert (ROOT / "selfalign" / "configs").resolve() == (ROOT / "configs").resolve()
    from selfalign.commands.configs_folder import CONFIGS

    assert CONFIGS.resolve() == (ROOT / "configs").resolve()


def test_a_clone_named_like_the_package_does_not_hide_it(tmp_path: Path) -> None:
    """From the folder above a clone, Python takes the clone for the package unless the path leads to a real one."""
    (tmp_path / "selfalign").symlink_to(ROOT)
    (tmp_path / "script.py").write_text("import selfalign.errors; print(selfalign.__version__)")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == f"{__version__}\n", done.stderr
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert settings["package-dir"] == {"": "."}  # only then does setuptools put the checkout on the path
