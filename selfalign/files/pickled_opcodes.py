"""Pickles looked over before they are read: a few bytes can ask for gigabytes, or for depths that end the process."""

from __future__ import annotations

import io
import pickletools
from typing import BinaryIO

_MOST_NESTING = 30_000
"""Steps that put objects into others; a checkpoint takes two a tensor. The interpreter dies of hashing some 100,000
nested tuples, without a word."""
_NESTING = frozenset({"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET", "REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ"})
_NAMED_PLACES = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})


def require_modest_pickle(content: bytes | BinaryIO) -> None:
    """Refuse a pickle whose memory or depth would not follow from its size. Nothing of it runs.

    Args:
        content: bytes, or a file at the start of a pickle, which is left after it.

    Raises:
        ValueError: saying what it asks for, or that it is damaged.
    """
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    nesting = 0
    for steps, (opcode, argument, _) in enumerate(pickletools.genops(file), start=1):
        if opcode.name in _NAMED_PLACES and isinstance(argument, int) and argument > steps:
            raise ValueError(f"it asks for {argument:,} places in memory after {steps:,} steps")
        nesting += opcode.name in _NESTING
        if nesting > _MOST_NESTING:
            raise ValueError(f"more than {_MOST_NESTING:,} objects in one another")
