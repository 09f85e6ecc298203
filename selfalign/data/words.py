"""Captions → words, by NLTK."""

from __future__ import annotations

from typing import Literal

import nltk

from selfalign.errors import UserError

WordSplitter = Literal["nltk_line", "nltk_punkt"]


def split_words(caption: str, splitter: WordSplitter) -> list[str]:
    """Lower-cased words of a caption.

    Args:
        caption: text.
        splitter: ``nltk_line`` takes the caption as one sentence and needs no data; ``nltk_punkt`` splits it into
            sentences first, as the authors' code does, and needs NLTK's ``punkt_tab``.

    Raises:
        UserError: if ``punkt_tab`` is asked for and not installed.
    """
    try:
        return nltk.word_tokenize(caption.lower(), preserve_line=splitter == "nltk_line")
    except LookupError as error:
        raise UserError(
            "tokenizer nltk_punkt: NLTK's punkt_tab data is missing; run `python -m nltk.downloader punkt_tab`, "
            "set NLTK_DATA to its folder, or use nltk_line"
        ) from error
