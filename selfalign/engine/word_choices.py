"""Which region each word of a caption chose: its most similar one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from selfalign.data.text.little_words import is_little


@dataclass(frozen=True)
class WordChoice:
    """A word and its most similar region.

    Attributes:
        word: as it stands in the caption.
        region: number of it.
        similarity: of the two.
    """

    word: str
    region: int
    similarity: float


def word_choices(
    words: Sequence[str], token_of: Callable[[int], int | None], similarity: Tensor
) -> tuple[WordChoice, ...]:
    """The choices of a caption's words, little ones left out.

    Args:
        words: of the caption.
        token_of: place of a word's first token, which speaks for it; ``None`` where it was cut off.
        similarity: (W, R) of tokens and regions.
    """
    chosen = []
    for number, word in enumerate(words):
        token = token_of(number)
        if token is None or is_little(word):
            continue
        region = int(similarity[token].argmax())
        chosen.append(WordChoice(word, region, float(similarity[token, region])))
    return tuple(chosen)
