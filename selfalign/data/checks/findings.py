"""What a check of data finds: good, strange, or wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from selfalign.errors import UserError

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One line of a report.

    Attributes:
        level: ``ok``; ``warning``, which good data may have; ``error``, with which no run starts.
        about: what was looked at, as ``train captions``.
        text: what was found, with file, row and count.
    """

    level: Level
    about: str
    text: str


def require(findings: Iterable[Finding], warn: Callable[[str], None]) -> None:
    """Stop at the first error of ``findings``, which are made one after the other; hand warnings on.

    Raises:
        UserError: the first error.
    """
    for finding in findings:
        if finding.level == "error":
            raise UserError(finding.text)
        if finding.level == "warning":
            warn(f"warning: {finding.text}")


def counted(number: int, what: str) -> str:
    """``1 image``, ``2,000 images``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
