"""Sentences, boxes and phrases as Flickr30K Entities has them, and files that only look so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from selfalign.data.entities.annotations import read_annotations
from selfalign.data.entities.phrases import spoken
from selfalign.data.entities.sentences import MarkedPhrase, marked_sentence, read_sentences
from selfalign.errors import UserError

OBJECT = "<object><name>{}</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>11</xmax><ymax>22</ymax></bndbox></object>"


def test_a_sentence_is_its_words_and_its_phrases() -> None:
    line = "[/EN#1/people A man] in [/EN#2/clothing a blue shirt] holds [/EN#0/notvisual it] [ not ] ."
    found = marked_sentence(line)
    assert " ".join(found.words) == "A man in a blue shirt holds it [ not ] ."
    assert found.phrases == (
        MarkedPhrase("1", ("people",), 0, 1),
        MarkedPhrase("2", ("clothing",), 3, 5),
        MarkedPhrase("0", ("notvisual",), 7, 7),
    )
    assert marked_sentence("[/EN#5/people/other both]").phrases[0].types == ("people", "other")


@pytest.mark.parametrize(
    "line",
    [
        "[/EN#1/people A man",
        "[/EN#1/people ]",
        "[/EN#1/people A [/EN#2/other man]]",
        "[/EN#1 A man]",
        "[/EN#/people A man]",
    ],
)
def test_a_broken_mark_is_one_line(line: str, tmp_path: Path) -> None:
    path = tmp_path / "7.txt"
    path.write_text(f"good .\n{line}\n")
    with pytest.raises(UserError, match=r"7\.txt: line 2 has a "):
        read_sentences(path)


def annotations(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "7.xml"
    path.write_text(content)
    return path


def test_boxes_count_from_0_and_an_id_may_have_many(tmp_path: Path) -> None:
    more = (
        "<object><name>2</name><name>3</name><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    )
    without = "<object><name>4</name><scene>1</scene><nobndbox>0</nobndbox></object>"
    without += "<object><name>5</name><scene>0</scene><nobndbox>1</nobndbox></object>"
    size = "<size><width>100</width><height>50</height></size>"
    body = f"{size}{OBJECT.format(2)}{more}</object>{without}"
    found = read_annotations(annotations(tmp_path, f"<annotation>{body}</annotation>"))
    assert {name: boxes.tolist() for name, boxes in found.boxes.items()} == {
        "2": [[0, 1, 10, 21], [4, 4, 8, 8]],
        "3": [[4, 4, 8, 8]],
    }
    assert found.size == (100, 50)
    assert found.without == {"4", "5"}
    assert all(boxes.dtype == np.float32 for boxes in found.boxes.values())


@pytest.mark.parametrize(
    "content",
    [
        '<!DOCTYPE a [<!ENTITY x "y">]><annotation>&x;</annotation>',
        '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><annotation>&b;</annotation>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>',
        "<annotation>&undeclared;</annotation>",
        "<a>" * 40 + "</a>" * 40,
        "<annotation><object>",
        "",
        "\0\0",
        f"<annotation>{OBJECT.format('')}</annotation>",
        f"<annotation>{OBJECT.format(1).replace('>11<', '>nan<')}</annotation>",
        f"<annotation>{OBJECT.format(1).replace('>11<', '>1e99<')}</annotation>",
        f"<annotation>{OBJECT.format(1).replace('<xmax>11</xmax>', '')}</annotation>",
        f"<annotation>{OBJECT.format(1).replace('>11<', '>0<')}</annotation>",
        f"<annotation><size><width>x</width></size>{OBJECT.format(1)}</annotation>",
    ],
)
def test_hostile_or_broken_annotations_are_one_line(content: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"annotations .*7\.xml") as raised:
        read_annotations(annotations(tmp_path, content))
    assert "passwd" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_files_larger_than_any_are_not_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file is larger"):
        read_annotations(annotations(tmp_path, "<annotation>" + " " * 2**23 + "</annotation>"))


@pytest.mark.parametrize(
    ("words", "sentence", "first", "last", "places"),
    [
        ("a dog 's tail .", "A dog's tail .", 0, 1, [1, 2]),
        ("two naive men", "Two naïve men", 1, 1, [1]),
        ("they look at them", "They look at them", 3, 3, [3]),  # nothing but a little word
        ("the red - haired boy", "the red-haired boy", 0, 2, [1, 3, 4]),
    ],
)
def test_words_of_a_phrase_are_found_in_another_tokenizers_words(
    words: str, sentence: str, first: int, last: int, places: list[int]
) -> None:
    assert spoken(words.split(), sentence.split(), first, last) == places
