"""Captions → tokens: vocabularies, tokenizers, padded batches."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfalign.data.text.captions import TokenizedCaptions, read_captions
from selfalign.data.text.tokenizers import (
    WordPieceTokenizer,
    WordTokenizer,
    check_unknown_share,
    tokenizer_from_state,
    unknown_share,
)
from selfalign.data.text.vocabulary import Vocabulary
from selfalign.errors import UserError

TEXTS = ["A dog runs .", "the dog sleeps", "A Cat and a dog", "birds"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=9), min_size=1, max_size=9), st.data())
def test_padded_rows_equal_a_loop(captions: list[list[int]], data: st.DataObject) -> None:
    packed = TokenizedCaptions.pack(captions, [[0] * len(caption) for caption in captions], pad_id=0)
    rows = data.draw(st.lists(st.integers(0, len(captions) - 1), min_size=1))
    width = data.draw(st.sampled_from([None, 12]))
    tokens, lengths = packed.rows(np.array(rows), width)
    longest = width or max(len(captions[row]) for row in rows)
    expected = [captions[row] + [0] * (longest - len(captions[row])) for row in rows]
    assert tokens.tolist() == expected
    assert lengths.tolist() == [len(captions[row]) for row in rows]


def test_the_vocabulary_keeps_words_seen_often_enough() -> None:
    vocabulary = Vocabulary.build(TEXTS, minimum_count=2)
    assert list(vocabulary.ids) == ["<pad>", "<start>", "<end>", "<unk>", "a", "dog"]


def test_words_are_lower_cased_framed_and_unknown_ones_marked() -> None:
    tokenizer = WordTokenizer(Vocabulary.build(TEXTS, minimum_count=2))
    tokens, lengths = tokenizer.encode(["A DOG barks", "dog"]).rows(np.array([0, 1]))
    assert tokens.tolist() == [[1, 4, 5, 3, 2], [1, 5, 2, 0, 0]]
    assert lengths.tolist() == [5, 3]


def test_a_vocabulary_survives_its_file(tmp_path: Path) -> None:
    vocabulary = Vocabulary(Vocabulary.build(TEXTS, minimum_count=1).ids, "nltk_punkt")
    vocabulary.save(tmp_path / "v.json")
    again = Vocabulary.load(tmp_path / "v.json")
    assert again.to_dict() == vocabulary.to_dict()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "expected a mapping"),
        ("{", "damaged"),
        ('{"ids": {"a": "b"}}', "whole numbers"),
        ('{"<pad>": 0}', "must have the ids 0 1 2 3"),
        (json.dumps({"<pad>": 0, "<start>": 1, "<end>": 2, "<unk>": 3, "a": 5}), "once each"),
        ("[" * 100_000, "damaged"),
    ],
)
def test_a_broken_vocabulary_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "v.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        Vocabulary.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["words", "pieces"])
def test_a_tokenizer_survives_its_state(kind: str) -> None:
    tokenizer = (
        WordTokenizer(Vocabulary.build(TEXTS, minimum_count=1))
        if kind == "words"
        else WordPieceTokenizer.from_captions(TEXTS, 60, maximum_length=8)
    )
    again = tokenizer_from_state(json.loads(json.dumps(tokenizer.state())))
    texts = [*TEXTS, "an unseen zebra jumps over everything that is there"]
    np.testing.assert_array_equal(again.encode(texts).tokens, tokenizer.encode(texts).tokens)
    assert again.vocabulary_size == tokenizer.vocabulary_size


def test_word_pieces_are_framed_cut_and_reproducible() -> None:
    first, second = (WordPieceTokenizer.from_captions(TEXTS, 60, maximum_length=6) for _ in range(2))
    assert first.state() == second.state()
    encoded = first.encode(["a dog and a cat and a dog and a cat"])
    assert encoded.lengths.tolist() == [6]
    assert encoded.words.tolist()[0] == encoded.words.tolist()[-1] == -1


def test_a_folder_with_a_vocabulary_file_only_is_a_bert_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "dog", "run", "##s"]))
    tokens = WordPieceTokenizer.from_pretrained(str(tmp_path)).encode(["Dog runs zzz"]).tokens
    assert tokens.tolist() == [2, 5, 6, 7, 1, 3]


def test_a_vocabulary_file_with_capitals_is_a_cased_one(tmp_path: Path) -> None:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "dog", "Dog", "café"]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces), encoding="utf-8")
    tokens = WordPieceTokenizer.from_pretrained(str(tmp_path)).encode(["Dog dog café DOG"]).tokens
    assert tokens.tolist() == [2, 6, 5, 7, 1, 3]


def test_an_unreachable_model_says_how_to_pass_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://localhost:9")  # nobody listens there
    with pytest.raises(UserError, match=r"pass its folder: backbone\.bert\.source=DIR") as caught:
        WordPieceTokenizer.from_pretrained("no-such-organisation/no-such-model")
    assert "\n" not in str(caught.value)


def test_captions_of_another_language_are_refused() -> None:
    tokenizer = WordTokenizer(Vocabulary.build(TEXTS, minimum_count=1))
    share = unknown_share(tokenizer.encode(["ein Hund schläft"]), tokenizer.unknown_id)
    assert share == 1.0
    with pytest.raises(UserError, match="100%"):
        check_unknown_share(share, "captions.txt")


def test_real_captions_differ_between_nltks_modes_as_little_as_known(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nltk.data.path", [str(shared / "data" / "nltk_data")])
    captions = read_captions(shared / "data" / "f30k_caps" / "test_caps.txt")
    encoded = [
        WordTokenizer(Vocabulary.build(captions, 1, "nltk_line")).encode(captions),
        WordTokenizer(Vocabulary.build(captions, 1, "nltk_punkt")).encode(captions),
    ]
    assert int((encoded[0].lengths != encoded[1].lengths).sum()) <= 3
    assert len(captions) == 5000
