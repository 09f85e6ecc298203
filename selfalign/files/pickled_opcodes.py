"""Pickles looked over before they are read: a few bytes can ask for gigabytes, depths or hours that end the process."""

from __future__ import annotations

import io
import pickletools
from typing import BinaryIO

_MOST_NESTING = 30_000
"""Steps that put objects into others; a checkpoint takes two a tensor. The interpreter dies of hashing some 100,000
nested tuples, without a word."""
_MOST_VALUES = 10_000_000
"""Values within a value, each counted as often as it is reached: what hashing it takes."""
_NESTING = frozenset({"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET", "REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ"})
_PUT = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GET = frozenset({"GET", "BINGET", "LONG_BINGET"})
_MARK = -1


def require_modest_pickle(content: bytes | BinaryIO) -> None:
    """Refuse a pickle whose memory, depth or time would not follow from its size. Nothing of it runs.

    Args:
        content: bytes, or a file at the start of a pickle, which is left after it.

    Raises:
        ValueError: saying what it asks for, or that it is damaged.
    """
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    nesting = 0
    sizes = _Sizes()
    for steps, (opcode, argument, _) in enumerate(pickletools.genops(file), start=1):
        if opcode.name in _PUT and isinstance(argument, int) and argument > steps:
            raise ValueError(f"it asks for {argument:,} places in memory after {steps:,} steps")
        nesting += opcode.name in _NESTING
        if nesting > _MOST_NESTING:
            raise ValueError(f"more than {_MOST_NESTING:,} objects in one another")
        try:
            sizes.step(opcode, argument)
        except (IndexError, KeyError) as error:
            raise ValueError("it takes what it never made") from error


class _Sizes:
    """The machine that reads pickles, with sizes in place of values: a pair of one pair twice, 64 times, is 2^64.

    Lists and dictionaries are counted as they are when others take them in; those that grow later are looked at by
    :func:`selfalign.files.nested_values.require_modest_values` once they are there.
    """

    def __init__(self) -> None:
        self._stack: list[int] = []
        self._memo: dict[int, int] = {}

    def step(self, opcode: pickletools.OpcodeInfo, argument: object) -> None:
        """Do what an opcode does."""
        stack, name = self._stack, opcode.name
        if name in _PUT or name == "MEMOIZE":
            self._memo[argument if isinstance(argument, int) else len(self._memo)] = stack[-1]
        elif name in _GET:
            stack.append(self._memo[int(str(argument))])
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "DUP":
            stack.append(stack[-1])
        else:
            inner = self._taken(opcode)
            if inner > _MOST_VALUES:
                raise ValueError(f"more than {_MOST_VALUES:,} values within one, most of them again and again")
            stack.extend(1 + inner for _ in opcode.stack_after)

    def _taken(self, opcode: pickletools.OpcodeInfo) -> int:
        """Take from the stack what an opcode takes; the sum of it."""
        before, total = [kind.name for kind in opcode.stack_before], 0
        if "mark" in before:
            while (size := self._stack.pop()) != _MARK:
                total += size
            before = before[: before.index("mark")]
        for _ in before:
            total += max(0, self._stack.pop())
        return total
