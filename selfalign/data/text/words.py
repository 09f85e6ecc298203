"""Captions → words: English by NLTK, as published, other languages by the boundaries that Unicode defines."""

from __future__ import annotations

import functools
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, TypeVar

import nltk
import regex
from tqdm import tqdm

from selfalign.errors import UserError

Item = TypeVar("Item")
_WORTH_A_BAR = 50_000

WordSplitter = Literal["nltk_line", "nltk_punkt", "unicode", "characters"]
_BOUNDARY = regex.compile(r"(?V1)(?w)\b")
"""Of words as UAX #29 has them; without the flag ``w`` it would be Python's, which cuts the words of Hindi."""
_CHARACTER = regex.compile(r"\X")
_WITHOUT_SPACES = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")
_LETTER = regex.compile(r"\p{L}")
_SAMPLE = 1_000
"""Captions that tell how a data set is written."""
_LONGEST_WORD = 8
"""Letters of such scripts between two spaces, in the mean; words that somebody cut have up to five."""


def _by_nltk(caption: str, *, sentences: bool) -> list[str]:
    try:
        return nltk.word_tokenize(caption.lower(), preserve_line=not sentences)
    except LookupError as error:
        raise UserError(
            "tokenizer nltk_punkt: NLTK's punkt_tab data is missing; run `python -m nltk.downloader punkt_tab`, "
            "set NLTK_DATA to its folder, or use nltk_line"
        ) from error


def _by_pattern(caption: str, cut: Callable[[str], list[str]]) -> list[str]:
    """Letters with accents have one form, so that a word is one word however it was typed."""
    return [word for word in cut(unicodedata.normalize("NFC", caption.lower())) if not word.isspace() and word]


_SPLITTERS: dict[str, Callable[[str], list[str]]] = {
    "nltk_line": functools.partial(_by_nltk, sentences=False),
    "nltk_punkt": functools.partial(_by_nltk, sentences=True),
    "unicode": functools.partial(_by_pattern, cut=_BOUNDARY.split),
    "characters": functools.partial(_by_pattern, cut=_CHARACTER.findall),
}
_NEEDS_SPACES = ("nltk_line", "nltk_punkt")


@functools.lru_cache(maxsize=2**20)  # the vocabulary and the tokens of COCO's 566,435 captions need one pass, not two
def split_words(caption: str, splitter: WordSplitter) -> tuple[str, ...]:
    """Lower-cased words of a caption, punctuation too.

    Args:
        caption: text.
        splitter: ``nltk_line`` takes the caption as one English sentence and needs no data; ``nltk_punkt`` splits it
            into sentences first, as the authors' code does, and needs NLTK's ``punkt_tab``; ``unicode`` cuts at the
            word boundaries of Unicode (UAX #29), in any language with spaces; ``characters`` makes a word of each.

    Raises:
        UserError: if ``punkt_tab`` is asked for and not installed.

    Example:
        >>> split_words("L'homme lit.", "unicode")
        ("l'homme", 'lit', '.')
        >>> split_words("สุนัข", "characters")
        ('สุ', 'นั', 'ข')
    """
    return tuple(map(sys.intern, _SPLITTERS[splitter](caption)))


def require_words(captions: Sequence[str], splitter: WordSplitter) -> None:
    """Refuse captions without spaces between their words where only spaces and signs cut them.

    Raises:
        UserError: naming the splitter that cuts them.
    """
    if splitter not in _NEEDS_SPACES:
        return
    sample = " ".join(captions[:: max(1, len(captions) // _SAMPLE)])
    of_such_scripts = len(_WITHOUT_SPACES.findall(sample))
    if 2 * of_such_scripts <= len(_LETTER.findall(sample)):
        return
    words = [word for word in sample.split() if _WITHOUT_SPACES.search(word)]
    if of_such_scripts > _LONGEST_WORD * len(words):
        raise UserError(
            f"backbone.vocabulary.tokenizer={splitter}: captions such as {captions[0][:20]!r} have no spaces between "
            "words, so each would be one word; use backbone.vocabulary.tokenizer=characters"
        )


def with_progress(captions: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """The same captions, with a progress bar on a terminal where there are many."""
    hidden = True if total < _WORTH_A_BAR else None  # None: shown on a terminal
    return iter(tqdm(captions, desc=what, total=total, unit=" captions", disable=hidden, leave=False))
