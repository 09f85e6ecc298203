"""Settings that are wrong in every way that the schema knows of, made from the schema itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from selfalign.settings import TrainingRun
from selfalign.settings.checking import Field
from selfalign.settings.keys import walk
from selfalign.settings.values import WrongTypeError, converted

_CANDIDATES = ("maybe", "abc", "1.5", "-1", "0", "[1,2]", "{a:1}", "null", "1e400", "nan", "1000", "true", "''")
_VALUES: dict[str, Any] = {
    "1.5": 1.5, "-1": -1, "0": 0, "[1,2]": [1, 2], "{a:1}": {"a": 1}, "null": None, "1e400": float("inf"),
    "nan": float("nan"), "1000": 1000, "true": True, "''": "",
}  # fmt: skip


@dataclass(frozen=True)
class Wrong:
    """A wrong setting as it would be typed.

    Attributes:
        line: ``key=value``.
        key: that the answer has to name.
        value: as Hydra reads it.
        backbone: with which the key is known.
    """

    line: str
    key: str
    value: Any
    backbone: str


def wrong_settings() -> list[Wrong]:
    """Wrong types, values out of bounds, scalars for groups, misspelt keys; of every setting there is."""
    found: list[Wrong] = []
    for key, field in walk(TrainingRun):
        if field.rule.table or any(key == wrong.key for wrong in found):  # another row's setting of the same name
            continue
        backbone = "vsrn" if key.startswith(("backbone.vocab", "backbone.final", "backbone.region", "backbone.word",
                                             "loss.captioning")) else "camera"  # fmt: skip
        found += [Wrong(f"{key}={text}", key, _VALUES.get(text, text), backbone) for text in _refused(field)]
        found += [Wrong(f"{other}={1}", other, 1, backbone) for other in _misspelt(key)]
    return found


def _refused(field: Field) -> Iterator[str]:
    if field.rule.axis is not None:
        yield from ("nosuch", "3")
    elif field.group is not None or field.rule.group_for is not None:
        yield from ("3", "abc", "[1,2]")
    else:
        for text in _CANDIDATES:
            try:
                converted(_VALUES.get(text, text), field.kind, field.rule)
            except WrongTypeError:
                yield text


def _misspelt(key: str) -> Iterator[str]:
    group, _, name = key.rpartition(".")
    if len(name) > 4:
        yield f"{group}.{name[:2]}{name[3:]}".lstrip(".")
