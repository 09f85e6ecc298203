"""``results.json``: what an evaluation found, by which code."""

from __future__ import annotations

import json
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from selfalign.errors import UserError
from selfalign.files.regular_files import read_regular

RECALLS = ("i2t_r1", "i2t_r5", "i2t_r10", "t2i_r1", "t2i_r5", "t2i_r10")
_LARGEST_RESULTS = 16 * 2**20
_LIBRARIES = ("selfalign", "torch", "pytorch-lightning", "transformers", "torchmetrics", "numpy")


def environment() -> dict[str, Any]:
    """Versions of the libraries and the commit of the code."""
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {"versions": versions, "git_commit": _commit()}


def _commit() -> str | None:
    """Commit of the checkout that this code runs from, ``+`` when it differs; ``None`` outside a checkout."""

    def git(*words: str) -> str:
        folder = Path(__file__).parent
        return subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def save_results(record: dict[str, Any], path: Path) -> None:
    """Write a result as JSON; nobody ever sees half a file."""
    temporary = path.with_suffix(".json.partial")
    temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def read_results(path: Path) -> dict[str, Any]:
    """What :func:`save_results` wrote.

    Raises:
        UserError: if the file is missing or damaged.
    """
    try:
        record = json.loads(read_regular(path, "results", _LARGEST_RESULTS).decode())
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"results {path}: damaged, not JSON ({reason})") from error
    if not isinstance(record, dict):
        raise UserError(f"results {path}: damaged, expected named values")
    return record


def result_series(record: dict[str, Any]) -> dict[str, float]:
    """The test figures of a result as series for a logger: ``test/i2t_r1`` …, further protocols under their names."""
    series = {}
    for number, (protocol, result) in enumerate(record["protocols"].items()):
        place = f"test/{protocol}" if number else "test"
        series[f"{place}/rsum"] = result["rsum"]
        series |= {f"{place}/{side}_{name}": value for side in ("i2t", "t2i") for name, value in result[side].items()}
    return series
