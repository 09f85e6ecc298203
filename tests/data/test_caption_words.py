"""Words as text stand under the numbers that the tokens carry."""

from __future__ import annotations

import pytest

from selfalign.data.text.tokenizers import CaptionTokenizer, WordPieceTokenizer, WordTokenizer
from selfalign.data.text.vocabulary import Vocabulary

CAPTIONS = ["A Dog's ball, isn't it?", "two   dogs  run", "unimaginable words run " * 6 + "ends"]


def tokenizers() -> list[CaptionTokenizer]:
    pieces = WordPieceTokenizer.from_captions(["two dogs run", "it is a words abcdefghijklmnopqrstuvwxyz',?"], 90, 24)
    return [pieces, WordTokenizer(Vocabulary.build(CAPTIONS, minimum_count=1))]


@pytest.mark.parametrize("tokenizer", tokenizers(), ids=["pieces", "words"])
def test_every_token_is_part_of_its_word(tokenizer: CaptionTokenizer) -> None:
    tokens = tokenizer.encode(CAPTIONS)
    for number, caption in enumerate(CAPTIONS):
        words = tokenizer.words(caption)
        assert "".join(words).lower() == "".join(caption.split()).lower()
        found = [word for word in range(len(words)) if tokens.token_of(number, word) is not None]
        assert found == list(range(max(found) + 1))  # only the end is cut off
        assert int(tokens.words[tokens.offsets[number] : tokens.offsets[number + 1]].max()) == max(found)
    assert tokenizer.words(CAPTIONS[2])[:3] == ["unimaginable", "words", "run"]
    assert tokenizer.words(CAPTIONS[2])[-1] == "ends"
