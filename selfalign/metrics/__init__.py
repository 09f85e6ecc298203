"""What is measured: recall in both directions under a protocol, and the alignment of words with regions.

Each counts every sample once, in however many processes and however often a loader repeats it. Importing the room costs
no torch, which tables of finished runs do without: what needs it is imported when it is first named.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfalign.metrics.alignment import AlignmentAccuracy
    from selfalign.metrics.protocols import (
        PROTOCOLS,
        DirectionResult,
        RetrievalResult,
        check_protocol,
        evaluate,
        summarise,
    )
    from selfalign.metrics.recall import CrossModalRecall

__all__ = [
    "PROTOCOLS",
    "AlignmentAccuracy",
    "CrossModalRecall",
    "DirectionResult",
    "RetrievalResult",
    "check_protocol",
    "evaluate",
    "summarise",
]

_ELSEWHERE = {"AlignmentAccuracy": "alignment", "CrossModalRecall": "recall"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_ELSEWHERE.get(name, 'protocols')}"), name)
