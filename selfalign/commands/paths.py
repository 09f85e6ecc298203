"""Settings that are paths: any path, typed as it is; Hydra's own grammar would stop at ``=``, a comma or ``~``."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from selfalign.errors import UserError
from selfalign.settings import paths

LISTS = ("checkpoints",)
"""Settings that take one path or several."""
_FOLDERS = ("hydra.run.dir", "hydra.sweep.dir")
_BEFORE_QUOTE = re.compile(r'(\\*)"')
_QUOTES = ("'", '"')
_NOT_A_PATH = ("", "null", "???")
_SWEEPS = ("-m", "--multirun")


def quoted_paths(arguments: Sequence[str]) -> list[str]:
    """A command line whose paths Hydra takes as they are.

    In a sweep a comma still separates values, unless the whole is the name of something on disk.

    Args:
        arguments: as they were typed, without the program.
    """
    sweep = any(argument in _SWEEPS for argument in arguments)
    return [_quoted_setting(argument, sweep=sweep) for argument in arguments]


def how_to_type(argument: str) -> str:
    """One line on an argument that Hydra's grammar cannot read, with a form that it can."""
    key, equals, value = argument.partition("=")
    if not equals or not _parses(f"{key}={_quote(value)}"):
        return f"{argument[:160]!r} cannot be read; settings are typed as name=value"
    return f"{argument[:160]!r} cannot be read; with quotes it is: {shlex.quote(f'{key}={_quote(value)}')}"


def expand_paths(plain: dict[str, Any]) -> None:
    """Replace ``~`` in the paths of a configuration, wherever they come from: typed, a file, the environment."""
    for name in paths():
        *groups, key = name.split(".")
        place: Any = plain
        for group in groups:
            place = place.get(group) if isinstance(place, dict) else None
        value = place.get(key) if isinstance(place, dict) else None
        if isinstance(value, str):
            place[key] = _expanded(value)
        elif isinstance(value, list):
            place[key] = [_expanded(one) if isinstance(one, str) else one for one in value]


def checkpoint_list(value: Any) -> list[str]:
    """The paths of ``checkpoints``: one, or a list.

    Raises:
        UserError: if there is none, or something else.
    """
    paths = [value] if isinstance(value, str) else value
    if not isinstance(paths, list) or not paths or not all(isinstance(path, str) and path for path in paths):
        raise UserError(
            "checkpoints: name a run's folder or a checkpoint, or several for an ensemble, as python eval.py "
            "checkpoints=RUN or checkpoints=RUN,OTHER_RUN"
        )
    return [_expanded(path) for path in paths]


def _quoted_setting(argument: str, *, sweep: bool) -> str:
    name, equals, value = argument.partition("=")
    key = name.lstrip("+")
    if not equals or value.strip() in _NOT_A_PATH:
        return argument
    if key in LISTS and not sweep:
        return f"{name}={_quoted_list(value)}"
    if key not in (*paths(), *_FOLDERS) or value.startswith(_QUOTES) or value.startswith("["):
        return argument
    if sweep and not _exists(value) and key not in _FOLDERS and _parses(argument):
        return argument
    path = _expanded(value)
    return f"{name}={path}" if _means(f"{name}={path}", path) else f"{name}={_quote(path)}"


def _quoted_list(value: str) -> str:
    """``A``, ``A,B`` or ``[A,B]``: cut at the commas into the longest parts that exist."""
    inner = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    if any(quote in inner for quote in _QUOTES) and _parses(f"x=[{inner}]"):
        return f"[{inner}]"
    if not inner.strip():
        return "[]"
    parts = _cut(inner.split(","))
    paths = [_expanded(part.strip()) for part in parts]
    return f"[{','.join(path if _means(f'x=[{path}]', [path]) else _quote(path) for path in paths)}]"


def _cut(pieces: list[str]) -> list[str]:
    """Paths that exist, each as long as can be; what is nowhere is a path of its own, to be named as missing."""
    parts = []
    while pieces:
        ends = [end for end in range(len(pieces), 0, -1) if _exists(",".join(pieces[:end]).strip())]
        end = ends[0] if ends else 1
        parts.append(",".join(pieces[:end]))
        pieces = pieces[end:]
    return parts


def _exists(path: str) -> bool:
    try:
        return Path(_expanded(path)).exists()
    except (OSError, ValueError):
        return False


def _expanded(path: str) -> str:
    return os.path.expanduser(path)


def _quote(value: str) -> str:
    """In Hydra's double quotes, where only they and the backslashes before them have a meaning."""
    body = _BEFORE_QUOTE.sub(lambda found: f'{found[1] * 2}\\"', value)
    trailing = len(body) - len(body.rstrip("\\"))
    return f'"{body}{chr(92) * trailing}"'


def _means(override: str, value: Any) -> bool:
    """Whether Hydra takes an override as this very value."""
    try:
        parsed = OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return not parsed.is_sweep_override() and parsed.value() == value


def _parses(override: str) -> bool:
    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True
