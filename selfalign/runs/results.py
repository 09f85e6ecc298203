"""``results.json``: what an evaluation found, by which code."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from selfalign.errors import UserError
from selfalign.files.plain_values import read_json
from selfalign.files.whole_files import write_whole

RESULTS = "results.json"
JUDGEMENT = "eccv.json"
"""What ``selfalign eccv`` made of results; it goes when they are made anew."""
DIRECTIONS = ("i2t", "t2i")
RECALLS = ("i2t_r1", "i2t_r5", "i2t_r10", "t2i_r1", "t2i_r5", "t2i_r10")
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
    """Write a result as JSON; nobody ever sees half a file. A judgement of earlier results in that folder goes."""
    path.with_name(JUDGEMENT).unlink(missing_ok=True)
    write_whole(path, json.dumps(record, indent=2) + "\n")


def read_results(path: Path) -> dict[str, Any]:
    """What :func:`save_results` wrote, complete: every figure of every protocol is there, and a number.

    Raises:
        UserError: if it is missing or damaged.
    """
    return checked_results(read_json(path, "results"), path)


def checked_results(record: Any, path: Path) -> dict[str, Any]:
    """:func:`read_results` of what is read already.

    Raises:
        UserError: if a figure is missing, or no number.
    """
    if not isinstance(record, dict):
        raise UserError(f"results {path}: damaged, expected named values")
    try:
        for result in record["protocols"].values():
            _require_within([result[recall[:3]][recall[4:]] for recall in RECALLS])
            _require_within([result["rsum"]], 100 * len(RECALLS))
        if not record["protocols"] or record["protocol"] not in record["protocols"]:
            raise ValueError("no figures")
        if "selection" in record:
            _require_within([record["selection"]], 400)  # the sum of four recalls
        if "alignment" in record:
            _require_within([record["alignment"]["accuracy"]])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(f"results {path}: damaged ({reason[:160]})") from error
    return record


def figures_of(result: dict[str, Any]) -> dict[str, float]:
    """Every figure of one protocol by one name: ``i2t_r1`` … and ``rsum``."""
    found = {f"{side}_{name}": value for side in DIRECTIONS for name, value in result[side].items()}
    return found | {"rsum": result["rsum"]}


def shown_split(record: Mapping[str, Any]) -> str:
    """The evaluated split in words, with the part of it that counted."""
    subset = record.get("subset")
    if subset is None:
        return str(record["split"])
    where = "in the whole split" if subset["gallery"] == "whole" else "among themselves"
    return f"{record['split']}, subset {subset['file']} ranked {where}"


def trained_elsewhere(record: Mapping[str, Any]) -> list[str]:
    """The folders that models were trained on, where they are called otherwise than the evaluated one."""
    evaluated = Path(str(record.get("data_root", ""))).name
    roots = [Path(str(model["data"]["root"])).name for model in record.get("models", ())]
    return list(dict.fromkeys(root for root in roots if evaluated and root != evaluated))


def is_finished(folder: Path) -> bool:
    """Whether a folder of train.py holds complete results."""
    try:
        return "selection" in read_results(folder / RESULTS)
    except UserError:
        return False


def _require_within(values: list[Any], most: float = 100) -> None:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not -1e-6 <= value <= most + 1e-6:
            raise ValueError(f"expected a number from 0 to {most}, got {str(value)[:40]}")


def result_series(record: dict[str, Any]) -> dict[str, float]:
    """The test figures of a result as series for a logger: ``test/i2t_r1`` …, further protocols under their names."""
    series: dict[str, float] = {}
    for number, (protocol, result) in enumerate(record["protocols"].items()):
        place = f"test/{protocol}" if number else "test"
        series |= {f"{place}/{name}": value for name, value in figures_of(result).items()}
    return series
