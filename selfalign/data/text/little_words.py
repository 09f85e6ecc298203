"""Little words, for which no region is drawn."""

from __future__ import annotations

import re

_LITTLE = frozenset(
    re.findall(
        r"\w+",
        """a an the of and or in on at by to for from with without into onto over under near above below up down off out
        through between behind beside around along across front next is are be being has have having there this that
        these those it its his her their he she they who which as while some one other another each we see sits lies
        left right picture""",
    )
)


def is_little(word: str) -> bool:
    """Whether a word names nothing that a region could show; signs without a letter or digit are little, too.

    Example:
        >>> [word for word in "a dog on the beach !".split() if not is_little(word)]
        ['dog', 'beach']
    """
    return word.lower() in _LITTLE or not any(map(str.isalnum, word))
