"""The right name behind a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from selfalign.errors import UserError


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The most similar known name; ``None`` if none is.

    Args:
        name: a dotted key or a choice.
        known: the right ones.

    Example:
        >>> nearest("trainng.epochs", ["training.epochs", "data.root"])
        'training.epochs'
    """
    names = list(known)
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.75)
    if not found:  # the right name in the wrong group
        last = name.rpartition(".")[2]
        ends = {other.rpartition(".")[2]: other for other in reversed(names)}
        found = [ends[end] for end in difflib.get_close_matches(last, list(ends), n=1, cutoff=0.8)]
    return found[0] if found else None


def no_such_option(key: str, name: object, options: Iterable[str]) -> UserError:
    """The error of a choice that is none, naming those that are."""
    known = list(options)
    guess = nearest(str(name), known)
    hint = f"; did you mean {guess}?" if guess else ""
    return UserError(f"{key}: expected one of {', '.join(known)}, got {name!r}{hint}")
