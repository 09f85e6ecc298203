"""Words of languages other than English: cut where Unicode says, counted, recorded, refused where nothing cuts them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from selfalign.data.checks.tokens import token_findings
from selfalign.data.text.tokenizers import WordTokenizer, tokenizer_from_state
from selfalign.data.text.vocabulary import Vocabulary
from selfalign.data.text.words import WordSplitter, require_words, split_words
from selfalign.errors import UserError

SENTENCES = {
    "English": ("A man's 3.5 m jump!", ["a", "man's", "3.5", "m", "jump", "!"]),
    "French": ("L'homme lit aujourd’hui.", ["l'homme", "lit", "aujourd’hui", "."]),
    "German": ("Die Straße, naß", ["die", "straße", ",", "naß"]),
    "Hindi": ("कुत्ते दौड़ रहे।", ["कुत्ते", "दौड़", "रहे", "।"]),
    "Arabic": ("رجل يركض.", ["رجل", "يركض", "."]),
    "Korean": ("남자가 뛰고 있다.", ["남자가", "뛰고", "있다", "."]),
    "Chinese": ("狗在跑。", ["狗", "在", "跑", "。"]),
}
WITHOUT_SPACES = {
    "Chinese": "一只棕色的狗在绿色的草地上奔跑",
    "Japanese": "茶色の犬が緑の草の上を走っている",
    "Thai": "สุนัขสีน้ำตาลวิ่งบนสนามหญ้าสีเขียว",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_words_end_where_unicode_says(language: str) -> None:
    caption, words = SENTENCES[language]
    assert list(split_words(caption, "unicode")) == [word for word in words if word]


def test_one_word_typed_in_two_ways_is_one_word() -> None:
    assert split_words("cafe\u0301", "unicode") == split_words("Café", "unicode") == ("café",)


def test_characters_keep_their_marks_and_leave_out_spaces() -> None:
    assert split_words("สุนัข วิ่ง", "characters") == ("สุ", "นั", "ข", "วิ่", "ง")
    assert split_words("T恤 衫", "characters") == ("t", "恤", "衫")


@pytest.mark.parametrize("splitter", ["nltk_line", "nltk_punkt"])
@pytest.mark.parametrize("language", WITHOUT_SPACES)
def test_captions_without_spaces_are_refused_in_one_line_that_names_the_choice(
    language: str, splitter: WordSplitter
) -> None:
    captions = [WITHOUT_SPACES[language]] * 10
    with pytest.raises(UserError, match=r"no spaces.*tokenizer=characters") as caught:
        Vocabulary.build(captions, 1, splitter)
    assert "\n" not in str(caught.value)
    assert len(Vocabulary.build(captions, 1, "characters")) > 14


@pytest.mark.parametrize(
    "captions",
    [
        ["一 只 棕色 的 狗 在 草地 上 奔跑"] * 5,  # cut by somebody
        ["a dog called 一只棕色的狗在绿色的草地上奔跑 runs over the grass of a garden"] * 5,
        ["남자가 뛰고 있다"] * 5,
        ["a dog"] * 5,
    ],
)
def test_captions_with_spaces_are_not(captions: list[str]) -> None:
    require_words(captions, "nltk_line")


@pytest.mark.parametrize("splitter", ["nltk_line", "unicode", "characters"])
def test_the_choice_is_recorded_with_the_words(splitter: WordSplitter, tmp_path: Path) -> None:
    vocabulary = Vocabulary.build(["L'homme lit."], 1, splitter)
    vocabulary.save(tmp_path / "v.json")
    again = tokenizer_from_state(json.loads(json.dumps(WordTokenizer(Vocabulary.load(tmp_path / "v.json")).state())))
    assert again.words("L'homme") == list(split_words("L'homme", splitter))
    assert again.state()["vocabulary"]["tokenizer"] == splitter


def test_unknown_words_of_a_split_are_counted(tmp_path: Path) -> None:
    tokenizer = WordTokenizer(Vocabulary.build(["un chien court", "un chat dort"], 1, "unicode"))
    texts = ["un chien dort", "un chat court vite"]
    (finding,) = token_findings("dev", tmp_path / "dev_caps.txt", texts, tokenizer.encode(texts), tokenizer)
    assert finding.text == "14.29% unknown to 9 words or word pieces: 1 of 7"
