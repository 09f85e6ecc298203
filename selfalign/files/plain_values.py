"""JSON and YAML of plain values, read without trust: small, shallow, finite, and of text that can be written again."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path, PureWindowsPath
from typing import Any

import yaml

from selfalign.errors import UserError
from selfalign.files.regular_files import read_regular

_LARGEST = 16 * 2**20
_LARGEST_YAML = 2**20
"""Bytes; a run's settings take two thousand."""
_DEEPEST = 50
_MOST_DIGITS = 40
_REASON = 160


class _PlainLoader(yaml.SafeLoader):
    """YAML's safe loader; ``1e-4`` is a number, as in settings that are typed."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.YAMLError(f"an alias, *{str(event.anchor)[:20]}, in line {event.start_mark.line + 1}")
        return super().compose_node(parent, index)


_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)


def read_json(path: Path, what: str, largest: int = _LARGEST) -> Any:
    """The content of a JSON file.

    Args:
        path: the file.
        what: what it is, for messages.
        largest: bytes that such a file may have.

    Raises:
        UserError: if it is missing or damaged, or a number in it is none (NaN), or has dozens of digits.
    """
    content = read_regular(path, what, largest)
    try:
        value = json.loads(
            content.decode("utf-8-sig"), parse_int=_number, parse_float=_number, parse_constant=_no_number
        )
        _require_plain(value)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{what} {path}: damaged, not JSON ({_reason(error)})") from error
    return value


def read_yaml(path: Path, what: str) -> Any:
    """The content of a YAML file of plain values, without aliases and tags.

    Raises:
        UserError: if it is missing or damaged, or holds anything else.
    """
    content = read_regular(path, what, _LARGEST_YAML)
    try:
        value = yaml.load(content.decode(), _PlainLoader)  # a safe loader
        _require_plain(value)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{what} {path}: damaged ({_reason(error)})") from error
    return value


def _require_plain(value: Any, depth: int = 0) -> None:
    """Refuse what is no text, number, list or named values, what is deep, and text that cannot be written again."""
    if depth > _DEEPEST:
        raise ValueError(f"more than {_DEEPEST} levels")
    if isinstance(value, dict):
        if strange := [name for name in value if not isinstance(name, str)]:
            raise ValueError(f"expected names, got {str(strange[0])[:40]!r}")
        value = [*value, *value.values()]
    if isinstance(value, list):
        for item in value:
            _require_plain(item, depth + 1)
    elif isinstance(value, str):
        value.encode()  # half of a surrogate pair cannot
    else:
        _require_number(value)


def _require_number(value: Any) -> None:
    if value is not None and not isinstance(value, int | float):
        raise ValueError(f"expected text or a number, got a {type(value).__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no finite number")
    if isinstance(value, int) and abs(value) >= 10**_MOST_DIGITS:
        raise ValueError(f"a number of more than {_MOST_DIGITS} digits")


def _number(text: str) -> int | float:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _reason(error: Exception) -> str:
    """One short line without control characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(sign if sign.isprintable() else "?" for sign in text)[:_REASON]


def without_places(value: Any) -> Any:
    """Plain values without where things lie on a machine: of an absolute path its last name stays.

    Example:
        >>> without_places({"root": "/home/me/data/f30k", "name": "data/f30k"})
        {'root': 'f30k', 'name': 'data/f30k'}
    """
    if isinstance(value, dict):
        return {name: without_places(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [without_places(inner) for inner in value]
    if isinstance(value, str) and (value.startswith(("/", "~")) or PureWindowsPath(value).drive):
        return PureWindowsPath(value).name or value
    return value
