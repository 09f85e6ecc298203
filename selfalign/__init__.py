"""SelfAlign: self-supervised fine-grained alignment for independent-embedding image-text retrieval.

``selfalign.load`` gives a trained model that encodes captions and images, compares them and searches; see
:mod:`selfalign.retriever`. Importing the package costs no torch: what needs it is imported when it is first named.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfalign.retriever import Retriever, load

__version__ = "0.1.0"
__all__ = ["Retriever", "__version__", "load"]

__path__.append(os.path.join(os.path.dirname(__file__), "commands"))  # python -m selfalign.check


def __getattr__(name: str) -> Any:
    if name in ("Retriever", "load"):
        from selfalign import retriever

        return getattr(retriever, name)
    raise AttributeError(f"module 'selfalign' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
