"""Values of foreign files that hold others: a bound on how deep, and how much of one another."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

_MOST_VALUES = 10_000_000
_DEEPEST = 200
_CHARACTERS_A_VALUE = 16


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
