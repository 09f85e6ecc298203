"""What is measured: recall in both directions under a protocol, and the alignment of words with regions.

Each counts every sample once, in however many processes and however often a loader repeats it.
"""

from selfalign.metrics.alignment import AlignmentAccuracy
from selfalign.metrics.protocols import PROTOCOLS, DirectionResult, RetrievalResult, check_protocol, evaluate, summarise
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
