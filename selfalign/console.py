"""What the person at the terminal reads: lines go out here, and a terminal that cannot take one never ends a run.

A terminal may know ASCII only (``PYTHONIOENCODING=ascii``, containers, clusters), be closed (``| head``), or be gone
(a lost connection). Signs that it does not know are spelled out, and what cannot be written at all is left unsaid: the
files of a run are what counts.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable
from typing import TextIO

from selfalign.errors import UserError, printable, visible

_SPELLED = {
    "→": "->", "←": "<-", "↔": "<->", "−": "-", "–": "-", "—": "-", "±": "+/-", "·": "*", "×": "x",
    "≥": ">=", "≤": "<=", "≈": "~", "…": "...", "★": "*", "½": "1/2",
    "τ": "tau", "“": '"', "”": '"', "‘": "'", "’": "'",
}  # fmt: skip
_HANDLER = "selfalign.spelled"


def say(text: str = "") -> None:
    """Write one line, or several, to standard output at once.

    Args:
        text: without the last line's end.

    Example:
        >>> say("image → text")
        image → text
    """
    _write(sys.stdout, text)


def warn(text: str) -> None:
    """Write one line, or several, to standard error at once."""
    _write(sys.stderr, text)


def one_line(error: BaseException) -> str:
    r"""What a command ends with: the error as one line that is safe to show.

    Example:
        >>> one_line(ValueError("two\nlines"))
        'error: two lines'
    """
    return f"error: {printable(' '.join(str(error).split()))}"


def finished(work: Callable[[], None], *, interrupted: str = "interrupted") -> int:
    """The exit code of a command: 0, 2 where a user can mend what failed, told in one line, or 130 after Ctrl-C.

    Args:
        work: what the command does.
        interrupted: what is said after Ctrl-C.

    Example:
        >>> finished(lambda: say("done"))
        done
        0
    """
    try:
        work()
    except UserError as error:
        warn(one_line(error))
        return 2
    except KeyboardInterrupt:
        warn(interrupted)
        return 130
    return 0


def prepare() -> None:
    """Let nothing that is written to this process's terminal raise for its encoding, progress bars of libraries too."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_HANDLER)


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:  # a process without a terminal
        return
    line = visible(text) + "\n"
    try:
        encoding = stream.encoding or "utf-8"
        stream.write(line.encode(encoding, _HANDLER).decode(encoding))
        stream.flush()
    except (OSError, ValueError):  # closed, full or gone
        return


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(_SPELLED.get(sign, "?") for sign in signs), error.end


codecs.register_error(_HANDLER, _spelled)
