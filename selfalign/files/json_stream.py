"""The elements of lists in a JSON file, one in memory at a time: annotations of data sets take gigabytes at once."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from selfalign.errors import UserError
from selfalign.files.regular_files import open_regular

_BLOCK = 2**16
_LONGEST_VALUE = 16 * 2**20
"""Characters of an element, or of a value beside the lists."""
_SPACE = re.compile(r"[ \t\r\n]*")


def json_elements(path: Path, what: str) -> Iterator[tuple[str, Any]]:
    """The elements of a file that is a list, under the name ``""``, or of the lists of a file that is a record.

    Values of the record that are no lists are passed over.

    Args:
        path: the file.
        what: what it is, for messages.

    Raises:
        UserError: if it cannot be read, or is neither.
    """
    with open_regular(path, what) as file:
        try:
            yield from _Reader(file).elements()
        except (ValueError, RecursionError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{what} {path}: not JSON in UTF-8 ({str(error)[:120]})") from error


class _Reader:
    """Text that is read on where a value needs more of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text, self._place = "", 0
        self._ended = False
        self._values = json.JSONDecoder()

    def elements(self) -> Iterator[tuple[str, Any]]:
        sign = self._sign()
        if sign == "[":
            yield from (("", item) for item in self._list())
        elif sign == "{":
            yield from self._record()
        else:
            raise ValueError("expected a record or a list")
        if self._sign(end_is_well=True):
            raise ValueError("more after its end")

    def _record(self) -> Iterator[tuple[str, Any]]:
        if self._follows("}"):
            return
        while True:
            name = self._value()
            if not isinstance(name, str) or self._sign() != ":":
                raise ValueError("expected a name and :")
            if self._follows("["):
                yield from ((name, item) for item in self._list())
            else:
                self._value()
            if self._ends_with("}"):
                return

    def _list(self) -> Iterator[Any]:
        if self._follows("]"):
            return
        while True:
            yield self._value()
            if self._ends_with("]"):
                return

    def _ends_with(self, closing: str) -> bool:
        if (sign := self._sign()) not in (closing, ","):
            raise ValueError(f"expected , or {closing}, got {sign!r}")
        return sign == closing

    def _follows(self, sign: str) -> bool:
        self._sign()
        if self._text[self._place - 1] == sign:
            return True
        self._place -= 1
        return False

    def _sign(self, end_is_well: bool = False) -> str:
        """The next sign that is no white space, which is left behind."""
        while True:
            self._place = _SPACE.match(self._text, self._place).end()  # type: ignore[union-attr]
            if self._place < len(self._text):
                self._place += 1
                return self._text[self._place - 1]
            if not self._more():
                if end_is_well:
                    return ""
                raise ValueError("cut off")

    def _value(self) -> Any:
        self._sign()
        self._place -= 1
        while True:
            try:
                value, end = self._values.raw_decode(self._text, self._place)
            except ValueError:
                if len(self._text) - self._place > _LONGEST_VALUE:
                    raise ValueError(f"a value of more than {_LONGEST_VALUE:,} characters") from None
                if not self._more():
                    raise
                continue
            if end < len(self._text) or not self._more():  # a number may go on
                self._place = end
                return value

    def _more(self) -> bool:
        if self._ended:
            return False
        block = self._file.read(max(_BLOCK, len(self._text) - self._place))
        self._ended = not block
        self._text = self._text[self._place :] + self._decoder.decode(block, final=self._ended)
        self._place = 0
        return not self._ended
