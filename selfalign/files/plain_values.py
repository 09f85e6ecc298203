"""Plain values of foreign files: JSON and YAML read without trust, and a bound on what values hold of one another."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from selfalign.errors import UserError
from selfalign.files.regular_files import read_regular

_MOST_VALUES = 10_000_000
_DEEPEST = 200
_CHARACTERS_A_VALUE = 16
_LARGEST_FILE = 64 * 2**20


def require_modest_values(content: Any) -> None:
    """Refuse containers that hold themselves, lie too deep in one another, or hold one again and again.

    A list of one list twice, 64 times, takes some hundred bytes in a file and 2^64 steps to walk through or to print.

    Raises:
        ValueError: saying which.
    """
    sizes: dict[int, int] = {}
    alive = [content]  # an id is another object's once its own is gone
    if not _is_container(content):
        return
    waiting: list[tuple[Any, Iterator[Any], int]] = [(content, _held(content), 1)]
    begun = {id(content)}
    while waiting:
        holder, rest, size = waiting.pop()
        for item in rest:
            known = sizes.get(id(item)) if _is_container(item) else _leaf(item)
            if known is None:
                if id(item) in begun:
                    raise ValueError("a value that holds itself")
                if len(waiting) >= _DEEPEST:
                    raise ValueError(f"more than {_DEEPEST} values in one another")
                begun.add(id(item))
                alive.append(item)
                waiting += [(holder, rest, size), (item, _held(item), 1)]
                break
            size += known
            if size > _MOST_VALUES:
                raise ValueError(f"more than {_MOST_VALUES:,} values within one, most of them again and again")
        else:
            sizes[id(holder)] = size
            if waiting:  # what holds it goes on, with it counted
                above, others, before = waiting.pop()
                waiting.append((above, others, before + size))
                if before + size > _MOST_VALUES:
                    raise ValueError(f"more than {_MOST_VALUES:,} values within one, most of them again and again")


def _is_container(value: Any) -> bool:
    return isinstance(value, dict | list | tuple | set | frozenset | argparse.Namespace)


def _held(value: Any) -> Iterator[Any]:
    if isinstance(value, argparse.Namespace):
        value = vars(value)
    if isinstance(value, dict):
        yield from value.keys()
        yield from value.values()
    else:
        yield from value


def _leaf(value: Any) -> int:
    return 1 + (len(value) // _CHARACTERS_A_VALUE if isinstance(value, str | bytes) else 0)


def read_json(path: Path, what: str, largest: int = _LARGEST_FILE) -> Any:
    """The value of a JSON file.

    Args:
        path: the file.
        what: what it is, for messages.
        largest: bytes that such a file may have.

    Raises:
        UserError: if it cannot be read or is no JSON in UTF-8.
    """
    try:
        return json.loads(read_regular(path, what, largest).decode("utf-8-sig"))
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        raise UserError(f"{what} {path}: not JSON in UTF-8 ({str(error)[:120]})") from error


def read_yaml(path: Path, what: str, largest: int = 2**20) -> Any:
    """The value of a YAML file of plain values, without aliases: a few of them write billions of values.

    Args, Raises: as :func:`read_json`.
    """
    try:
        text = read_regular(path, what, largest).decode("utf-8-sig")
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                line = event.start_mark.line + 1 if event.start_mark is not None else "?"
                raise UserError(f"{what} {path}: line {line} repeats a value by an alias; write the value out")
        return yaml.safe_load(text)
    except UserError:
        raise
    except (ValueError, RecursionError, TypeError, yaml.YAMLError) as error:
        raise UserError(f"{what} {path}: not YAML of plain values ({printable_reason(error)})") from error


def printable_reason(error: Exception) -> str:
    """What an exception of a library says, short enough for a line."""
    return " ".join(str(error).split())[:160] or type(error).__name__
