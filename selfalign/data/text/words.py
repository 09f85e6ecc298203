"""Captions → words, by NLTK."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable, Iterator
from typing import Literal, TypeVar

import nltk
from tqdm import tqdm

from selfalign.errors import UserError

Item = TypeVar("Item")
_WORTH_A_BAR = 50_000

WordSplitter = Literal["nltk_line", "nltk_punkt"]


@functools.lru_cache(maxsize=2**20)  # the vocabulary and the tokens of COCO's 566,435 captions need one pass, not two
def split_words(caption: str, splitter: WordSplitter) -> tuple[str, ...]:
    """Lower-cased words of a caption.

    Args:
        caption: text.
        splitter: ``nltk_line`` takes the caption as one sentence and needs no data; ``nltk_punkt`` splits it into
            sentences first, as the authors' code does, and needs NLTK's ``punkt_tab``.

    Raises:
        UserError: if ``punkt_tab`` is asked for and not installed.
    """
    try:
        words = nltk.word_tokenize(caption.lower(), preserve_line=splitter == "nltk_line")
    except LookupError as error:
        raise UserError(
            "tokenizer nltk_punkt: NLTK's punkt_tab data is missing; run `python -m nltk.downloader punkt_tab`, "
            "set NLTK_DATA to its folder, or use nltk_line"
        ) from error
    return tuple(map(sys.intern, words))


def with_progress(captions: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """The same captions, with a progress bar on a terminal where there are many."""
    hidden = True if total < _WORTH_A_BAR else None  # None: shown on a terminal
    return iter(tqdm(captions, desc=what, total=total, unit=" captions", disable=hidden, leave=False))
