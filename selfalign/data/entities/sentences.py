"""Sentences with marked phrases."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from selfalign.errors import UserError, shown
from selfalign.files.regular_files import read_regular

NOT_VISUAL = "0"
"""The id of phrases that no box could show."""
_LARGEST = 2**20
_TOKEN = re.compile(r"\[/EN#(?P<id>[^/\s\]\[]+)(?P<types>(?:/[^/\s\]\[]+)+)(?=\s)|(?P<end>\])|(?P<text>[^\s\[\]]+|\[)")


@dataclass(frozen=True)
class MarkedPhrase:
    """A phrase of a sentence.

    Attributes:
        id: of what it names; sentences of one image share ids.
        types: as ``("people",)``.
        first, last: its words' places in the sentence, both counted.
    """

    id: str
    types: tuple[str, ...]
    first: int
    last: int


@dataclass(frozen=True)
class MarkedSentence:
    """A sentence and its phrases."""

    words: tuple[str, ...]
    phrases: tuple[MarkedPhrase, ...]


def read_sentences(path: Path) -> list[MarkedSentence]:
    """The sentences of an image.

    Raises:
        UserError: if the file is missing, not UTF-8, or has a mark that begins or ends nothing.
    """
    try:
        text = read_regular(path, "sentences", _LARGEST).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"sentences {path}: not UTF-8 at byte {error.start}") from error
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                found.append(marked_sentence(line))
            except ValueError as error:
                raise UserError(f"sentences {path}: line {number} {error}") from error
    return found


def marked_sentence(line: str) -> MarkedSentence:
    """One line, read.

    Raises:
        ValueError: if a phrase has no words, no end, or another phrase in it.

    Example:
        >>> marked_sentence("[/EN#7/people A man] rides .").phrases
        (MarkedPhrase(id='7', types=('people',), first=0, last=1),)
    """
    words: list[str] = []
    phrases: list[MarkedPhrase] = []
    begun: tuple[str, tuple[str, ...], int] | None = None
    for token in _TOKEN.finditer(line):
        if token["id"] is not None:
            if begun is not None:
                raise ValueError(f"has a phrase within a phrase, at {shown(token[0])}")
            begun = (token["id"], tuple(token["types"][1:].split("/")), len(words))
        elif token["end"] is not None and begun is not None:
            identity, types, first = begun
            if first == len(words):
                raise ValueError(f"has a phrase without words, {shown(identity)}")
            phrases.append(MarkedPhrase(identity, types, first, len(words) - 1))
            begun = None
        elif token[0].startswith("[") and line.startswith("[/EN#", token.start()):
            raise ValueError(f"has a mark that is none: {shown(line[token.start() : token.start() + 40])}")
        else:
            words.append(token[0])
    if begun is not None:
        raise ValueError(f"has a phrase without an end, {shown(begun[0])}")
    return MarkedSentence(tuple(words), tuple(phrases))
