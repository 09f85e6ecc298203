"""What a user can mend: every other exception is a bug of this package and keeps its traceback."""

from __future__ import annotations

import reprlib
import unicodedata

_LONGEST = 2_000
"""Characters of a message."""
_LONGEST_VALUE = 80
_REORDERING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_LARGEST_NUMBER = 10**40


def printable(text: str, longest: int | None = None) -> str:
    """Foreign text in one line that a terminal only shows: whatever it would obey stands there as ``\\x1b``.

    Captions, names of files and settings of others can hold escape sequences that rename a window or hide lines.

    Args:
        text: of anybody.
        longest: characters after which it is cut; ``None`` for all.
    """
    cut = longest is not None and len(text) > longest
    return visible(" ".join(text[:longest].splitlines()).replace("\t", " ")) + ("..." if cut else "")


def visible(text: str) -> str:
    r"""``text``, its lines and tabs too, with everything that commands a terminal (colours, titles, cursor) visible.

    Example:
        >>> visible("a \x1b[31mred\x1b[0m name")
        'a \\x1b[31mred\\x1b[0m name'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(sign if sign in "\n\t" or not _commands(sign) else _escaped(sign) for sign in text)


def shown(value: object) -> str:
    """A foreign value as Python would write it, cut wherever it is long or deep: some would take hours to write."""
    if isinstance(value, int) and abs(value) > _LARGEST_NUMBER:
        return f"a whole number of {value.bit_length():,} bits"
    short = reprlib.Repr()
    short.maxstring = short.maxother = _LONGEST_VALUE
    return printable(short.repr(value), _LONGEST_VALUE)


def _commands(sign: str) -> bool:
    """Control characters, marks that reorder text, and halves of pairs that are no sign."""
    return unicodedata.category(sign) in ("Cc", "Cs") or sign in _REORDERING


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape", "backslashreplace").decode("ascii")


class UserError(ValueError):
    """Wrong input from outside (files, settings). The message is one line: what is wrong, where, what to do.

    Args:
        message: may quote what is foreign; it is made :func:`printable`.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(printable(str(message), _LONGEST))


class NonFiniteError(UserError):
    """A loss or gradient that is no number; the weights of the step before are still there.

    Args:
        message: see :class:`UserError`.
        step: optimiser step, from 1, that gave it.
    """

    def __init__(self, message: object = "", step: int = 0) -> None:
        super().__init__(message)
        self.step = step
