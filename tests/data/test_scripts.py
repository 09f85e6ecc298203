"""Word pieces of captions in every script: what is made of captions knows them; what is cut is told."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from selfalign.data.checks.tokens import collapsed, token_findings
from selfalign.data.text.captions import TokenizedCaptions
from selfalign.data.text.tokenizers import WordPieceTokenizer, unknown_share
from selfalign.data.text.vocabulary import Vocabulary

CAPTIONS = {
    "Korean": "두 마리의 개가 푸른 잔디밭을 달린다",
    "Hindi": "दो कुत्ते हरी घास पर दौड़ रहे हैं",
    "Bengali": "দুটি কুকুর সবুজ ঘাসে দৌড়াচ্ছে",
    "Tamil": "இரண்டு நாய்கள் ஓடுகின்றன",
    "Thai": "สุนัขสองตัววิ่งบนสนามหญ้าสีเขียวกว้าง" * 4,
    "Burmese": "ခွေးနှစ်ကောင်ပြေးနေသည်",
    "Arabic": "كلبان يركضان على العُشبِ الأخضر",
    "Persian": "دو سگ می‌دوند",
    "Hebrew": "שְׁנֵי כלבים רצים",
    "Vietnamese": "hai con chó chạy trên bãi cỏ xanh rộng",
    "French": "un été à la forêt, où l'élève rêve",
    "German": "zwei süße Hunde über die Straße",
    "Turkish": "İki köpek IŞIKLI çimlerde koşuyor",
    "Czech": "příliš žluťoučký kůň",
    "Polish": "zażółć gęślą jaźń",
    "Greek": "Δύο σκυλιά τρέχουν ΣΤΟ γρασίδι",
    "Russian": "две собаки, ёлка и йод",
    "Ukrainian": "їжак і ґанок",
    "Japanese": "二匹の犬が緑のガーデンを走っています",
    "Chinese": "两只狗在草地上奔跑",
    "Georgian": "ორი ძაღლი მირბის",
    "Amharic": "ሁለት ውሾች",
    "emoji": "two dogs 🐕🐕 run 🏃‍♂️",
}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("language", CAPTIONS)
def test_captions_are_known_to_the_word_pieces_made_of_them(language: str, form: str) -> None:
    caption = CAPTIONS[language]
    tokenizer = WordPieceTokenizer.from_captions([caption] * 3, 500, 400)
    encoded = tokenizer.encode([unicodedata.normalize(form, caption)])
    assert unknown_share(encoded, tokenizer.unknown_id) == 0.0
    words = encoded.words[encoded.words >= 0]
    assert len(words) == len(set(words.tolist())), "a word of the vocabulary falls to letters"
    assert encoded.tokens.tolist() == tokenizer.encode([caption]).tokens.tolist()


def test_accents_and_vowel_signs_tell_words_apart() -> None:
    texts = ["pêche", "péché", "peche", "की", "का", "कु"]
    tokenizer = WordPieceTokenizer.from_captions(texts, 200, 10)
    assert len({tuple(tokenizer.encode([text]).tokens) for text in texts}) == len(texts)


SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.mark.parametrize(
    ("pieces", "settings", "known"),
    [
        (["cafe"], None, True),  # an uncased vocabulary without accents strips them
        (["café"], None, True),  # one with accents keeps them
        (["cafe"], {"strip_accents": False}, False),
        (["cafe"], {"do_lower_case": True, "strip_accents": True}, True),
        (["Café"], {"do_lower_case": False}, True),
    ],
)
def test_a_vocabulary_file_is_used_as_it_was_made(
    pieces: list[str], settings: dict[str, bool] | None, known: bool, tmp_path: Path
) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL, *pieces]), encoding="utf-8")
    if settings is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    tokens = WordPieceTokenizer.from_pretrained(str(tmp_path)).encode(["Café"]).tokens.tolist()
    assert tokens == [2, 5 if known else 1, 3]


def found(texts: list[str], tokenizer: WordPieceTokenizer) -> dict[str, str]:
    findings = token_findings("train", Path("train_caps.txt"), texts, tokenizer.encode(texts), tokenizer)
    return {finding.level: finding.text for finding in findings}


def test_cut_captions_are_counted_and_equal_ones_told() -> None:
    start = "a dog and a cat run over the wide green grass"
    texts = [f"{start} today", f"{start} now", *(f"caption {word}" for word in "abcdefghijklmnopqrstuvwxyz")]
    tokenizer = WordPieceTokenizer.from_captions(texts, 400, 12)
    warning = found(texts, tokenizer)["warning"]
    assert "2 of 28 (7.1%) are cut at 12 word pieces" in warning
    assert "line 1 the first" in warning
    assert "2 of them the same as another" in warning
    assert "warning" not in found(texts, WordPieceTokenizer.from_captions(texts, 400, 32))


def test_a_split_whose_captions_become_one_is_refused() -> None:
    texts = [f"{'the small brown dog runs over the green grass ' * 5}number {n}" for n in range(150)]
    error = found(texts, WordPieceTokenizer.from_captions(texts, 800, 32))["error"]
    assert "150 of 150 (100.0%) are cut at 32 word pieces" in error
    assert "which makes 150 the same as another, line 1 the first" in error
    assert "backbone.bert.maximum_length raises it" in error


def test_the_same_caption_twice_is_no_collapse() -> None:
    captions = TokenizedCaptions.pack([[1, 2], [1, 2], [1, 3], [1, 3]], [[0, 0]] * 4, 0)
    assert collapsed(["a dog", "A  DOG", "a cat", "a bird"], captions).tolist() == [2, 3]


def test_what_is_cut_stays_with_the_first_captions() -> None:
    tokenizer = WordPieceTokenizer.from_captions(["a b c d e f g"], 60, 4)
    encoded = tokenizer.encode(["a b", "a b c", "a b", "a b c d"])
    np.testing.assert_array_equal(encoded.cut, [1, 3])
    np.testing.assert_array_equal(encoded.first(3).cut, [1])


@pytest.mark.parametrize(("count", "kept"), [(3, False), (4, True), (5, True)])
def test_a_word_seen_as_often_as_asked_is_in_the_vocabulary(count: int, kept: bool) -> None:
    vocabulary = Vocabulary.build(["zebra"] * count + ["dog"] * 9, minimum_count=4)
    assert ("zebra" in vocabulary.ids) == kept


def test_the_most_frequent_words_are_whole_where_not_all_have_room() -> None:
    texts = ["rare dog", "dog cat", "dog cat", "dog"]
    characters = len(set("".join(texts)) - {" "})
    tokenizer = WordPieceTokenizer.from_captions(texts, 5 + 2 * characters + 2, 20)
    pieces = {word: int((tokenizer.encode([word]).words >= 0).sum()) for word in ("dog", "cat", "rare")}
    assert pieces == {"dog": 1, "cat": 1, "rare": 4}
