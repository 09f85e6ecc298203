"""One setting: its default and everything that is known of it besides its type, which is its annotation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final


class _Marker:
    """A value of its own kind: neither a setting's value nor ``None``."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


REQUIRED: Final = _Marker("REQUIRED")
"""Default of a setting that has none: it has to be given."""
_AS_NOW: Final = _Marker("AS_NOW")


@dataclasses.dataclass(frozen=True)
class Rule:
    """What is known of a setting besides its type.

    Attributes:
        doc: what it means, in a sentence.
        ask: what to do where it has to be given and is not.
        unit: of its values: ``epochs``, ``steps``, ``captions``.
        at_least, above, at_most, below: bounds of a number.
        one_of: the only values.
        resumable: a run may go on with another value; of a group: with other values of all that is in it.
        matters: another value makes another setting where runs are compared.
        published: a run counts as the published one only with the published value.
        path: it names a file or a folder.
        in_name: short names of runs tell it already.
        older: what a record stands for that is from before the setting; the default, if not given.
        may_be_unknown: a record may hold ``None`` for it, as those of the authors' checkpoints do.
        axis: its value is one row of this axis, with the row's settings.
        group_for: for a group whose settings depend on what stands beside it: those values → its dataclass.
        table: its value holds settings of others, of any name.
        partial: of a group: every setting in it may be ``None``, and is by default.
    """

    doc: str = ""
    ask: str = ""
    unit: str = ""
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    one_of: tuple[Any, ...] = ()
    resumable: bool = False
    matters: bool = True
    published: bool = True
    path: bool = False
    in_name: bool = False
    older: Any = _AS_NOW
    may_be_unknown: bool = False
    axis: str | None = None
    group_for: Callable[[Mapping[str, Any]], type] | None = None
    table: bool = False
    partial: bool = False

    @property
    def kept_behaviour(self) -> bool:
        """Whether a record from before the setting stands for another value than the default."""
        return self.older is not _AS_NOW


def setting(default: Any = REQUIRED, **rule: Any) -> Any:
    """A field of a dataclass of settings.

    Args:
        default: its value where none is given; without one it has to be given.
        rule: see :class:`Rule`.

    Example:
        >>> from dataclasses import dataclass
        >>> from selfalign.settings import checked, setting
        >>> @dataclass(frozen=True)
        ... class Pooling:
        ...     temperature: float = setting(0.1, above=0, doc="of the softmax over elements")
        >>> checked({"temperature": 1}, Pooling)
        {'temperature': 1.0}
    """
    metadata = {"rule": Rule(**rule)}
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def group(**rule: Any) -> Any:
    """A field that is a group of settings; its dataclass is the annotation."""
    return dataclasses.field(default=None, metadata={"rule": Rule(**rule)})
