"""Captions in the forms that data sets are handed out in: refused as captions, converted to the same five lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from selfalign.commands import convert
from selfalign.data.conversion.captions_to_layout import CaptionTarget, convert_captions
from selfalign.data.text.caption_forms import distributed_form
from selfalign.data.text.captions import read_captions
from selfalign.errors import UserError
from selfalign.files.json_stream import json_elements
from tests.conftest import CAPTIONS

TEXTS = [f"{caption}, with {number} of them ." for number in range(6) for caption in CAPTIONS]
NAMES = [f"100{number}_ab.jpg" for number in range(6)]
PAIRS = [(NAMES[place // 5], place % 5, text) for place, text in enumerate(TEXTS)]


def karpathy(indent: int | None) -> str:
    images = [
        {
            "filename": name,
            "split": "val" if name == NAMES[5] else "train",
            "sentences": [{"raw": text, "tokens": text.split()} for owner, _, text in PAIRS if owner == name],
        }
        for name in NAMES
    ]
    return json.dumps({"dataset": "x", "images": images}, indent=indent)


def coco(first: str) -> str:
    lists = {
        "images": [{"id": 391895 + number, "file_name": name} for number, name in enumerate(NAMES)],
        "annotations": [
            {"id": place, "image_id": 391895 + place // 5, "caption": text} for place, (_, _, text) in enumerate(PAIRS)
        ],
    }
    order = sorted(lists, key=lambda name: name != first)
    record = {"info": {"description": "COCO", "url": "x"}, "licenses": [{"id": 1}]}
    return json.dumps(record | {name: lists[name] for name in order})


NAMED: dict[str, Callable[[], str]] = {
    "Flickr's token file": lambda: "\n".join(f"{name}#{number}\t{text}" for name, number, text in PAIRS),
    "a table of two columns": lambda: "image,caption\n" + "\n".join(f'{n},"{text}"' for n, _, text in PAIRS),
    "a table without quotes": lambda: "image,caption\n" + "\n".join(f"{n},{text}" for n, _, text in PAIRS),
    "a table without a line of names": lambda: "\n".join(f"{n},{text}" for n, _, text in PAIRS),
    "Flickr30K's table": lambda: (
        "image_name| comment_number| comment\n" + "\n".join(f"{n}| {i}| {text}" for n, i, text in PAIRS)
    ),
    "Flickr30K's table, one bar missing": lambda: (
        "image_name| comment_number| comment\n"
        + "\n".join(f"{n}| {i}{'' if (n, i) == (NAMES[1], 4) else '|'}   {text}" for n, i, text in PAIRS)
    ),
    "bars without a line of names": lambda: "\n".join(f"{n}| {i}| {text}" for n, i, text in PAIRS),
    "tabs": lambda: "\n".join(f"{n}\t{text}" for n, _, text in PAIRS),
    "tabs with numbers": lambda: "\n".join(f"{n}\t{i}\t{text}" for n, i, text in PAIRS),
    "Karpathy's JSON": lambda: karpathy(None),
    "Karpathy's JSON in many lines": lambda: karpathy(1),
    "COCO's JSON": lambda: coco("images"),
    "COCO's JSON, annotations first": lambda: coco("annotations"),
    "a list of records": lambda: json.dumps([{"image": n, "caption": text} for n, _, text in PAIRS]),
    "a list of records with lists": lambda: json.dumps(
        [{"image": n, "captions": [text for owner, _, text in PAIRS if owner == n]} for n in NAMES], indent=2
    ),
    "records of JSON, one a line": lambda: "\n".join(json.dumps({"image": n, "caption": text}) for n, _, text in PAIRS),
    "lists under names": lambda: json.dumps({n: [text for owner, _, text in PAIRS if owner == n] for n in NAMES}),
}
UNNAMED: dict[str, Callable[[], str]] = {
    "numbered lines": lambda: "\n".join(f"{place}. {text}" for place, text in enumerate(TEXTS, start=1)),
    "lines that begin with the image's number": lambda: "\n".join(f"{p // 5} {text}" for p, text in enumerate(TEXTS)),
    "quotation marks": lambda: "\n".join(f'"{text}"' for text in TEXTS),
    "marks": lambda: "\n".join(f"<start> {text} <end>" for text in TEXTS),
    "lists of Python": lambda: "\n".join(repr(TEXTS[place : place + 5]) for place in range(0, 30, 5)),
    "a list of captions": lambda: json.dumps(TEXTS, indent=0),
}


@pytest.mark.parametrize("kind", NAMED | UNNAMED)
def test_no_form_passes_for_one_caption_a_line(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "train_caps.txt"
    path.write_text((NAMED | UNNAMED)[kind]() + "\n")
    with pytest.raises(UserError, match=r"selfalign convert captions train_caps\.txt") as caught:
        read_captions(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", NAMED | UNNAMED)
def test_every_form_becomes_the_same_five_lines_an_image(kind: str, tmp_path: Path) -> None:
    (tmp_path / "given").write_text((NAMED | UNNAMED)[kind]() + "\n")
    parts = ("train", "val") if "Karpathy" in kind else None
    convert_captions(tmp_path / "given", CaptionTarget(tmp_path / "made", "train", parts=parts), lambda line: None)
    assert read_captions(tmp_path / "made" / "train_caps.txt") == TEXTS
    names = tmp_path / "made" / "train_images.txt"
    assert names.exists() == (kind in NAMED)
    if kind in NAMED:
        assert names.read_text().split() == NAMES


def test_plain_captions_of_any_kind_stay_captions() -> None:
    for lines in (
        TEXTS,
        [f"{number} dogs run" for number in (2, 2, 3, 2, 4, 2, 5, 3, 2, 2)],
        ["a man says : \"hello\" , 'bye'", "[ a dog", "two dogs ; one cat", "a photo.jpg on a screen", "dogs | cats"],
        ["a dog", '"quoted" is one caption of many', "a cat", "a bird", "a horse"],
        ["2 dogs run"] * 5,
    ):
        assert distributed_form(lines) is None, lines


def test_the_order_is_that_of_the_features(tmp_path: Path) -> None:
    (tmp_path / "given").write_text(NAMED["Flickr's token file"]())
    order = [NAMES[4], NAMES[0], NAMES[2]]
    (tmp_path / "order.txt").write_text("\n".join(Path(name).stem for name in order))
    convert_captions(tmp_path / "given", CaptionTarget(tmp_path, "dev", tmp_path / "order.txt"), lambda line: None)
    expected = [text for name in order for owner, _, text in PAIRS if owner == name]
    assert read_captions(tmp_path / "dev_caps.txt") == expected


def test_numbers_name_coco_s_images(tmp_path: Path) -> None:
    (tmp_path / "given").write_text(
        "\n".join(f"COCO_val2014_{391895 + p // 5:012}.jpg#{p % 5}\t{text}" for p, text in enumerate(TEXTS))
    )
    (tmp_path / "dev_ids.txt").write_text("391897\n391895\n")
    convert_captions(tmp_path / "given", CaptionTarget(tmp_path, "dev"), lambda line: None)
    assert read_captions(tmp_path / "dev_caps.txt") == TEXTS[10:15] + TEXTS[:5]


def test_parts_are_those_of_the_split_and_more_captions_are_counted(tmp_path: Path) -> None:
    data = json.loads(karpathy(None))
    data["images"][0]["split"] = "restval"
    data["images"][0]["sentences"].append({"raw": "a sixth one"})
    (tmp_path / "given").write_text(json.dumps(data))
    said: list[str] = []
    convert_captions(tmp_path / "given", CaptionTarget(tmp_path, "train"), said.append)
    convert_captions(tmp_path / "given", CaptionTarget(tmp_path, "dev"), said.append)
    assert read_captions(tmp_path / "train_caps.txt") == TEXTS[:25]
    assert read_captions(tmp_path / "dev_caps.txt") == TEXTS[25:]
    assert "1 further caption of them left out" in said[0]
    with pytest.raises(UserError, match="parts there: restval, train, val; pass --parts"):
        convert_captions(tmp_path / "given", CaptionTarget(tmp_path, "test"), said.append)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\n".join(NAMED["tabs"]().split("\n")[:-1]), "every image needs 5"),
        (NAMED["Karpathy's JSON"]()[:-9], "not JSON"),
        ('{"images": [' + "[" * 100_000, "not JSON"),
        ('{"images": ["' + "x" * 20_000_000, "not JSON"),
        ('[{"image": "a.jpg"}]', "without captions"),
        ('[{"image": "a.jpg", "caption": 1e5}]', "expected text"),
        ("a.jpg\tone\ttwo\n" * 5, "too many fields"),
        ("", "empty"),
        ("{}", "none of any image"),
    ],
)
def test_a_broken_source_is_one_line_and_leaves_nothing(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "given").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        convert_captions(tmp_path / "given", CaptionTarget(tmp_path / "made", "train"), lambda line: None)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "made").exists()


def test_the_command_writes_and_never_overwrites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "given").write_text(NAMED["tabs"]())
    words = ["captions", str(tmp_path / "given"), "--root", str(tmp_path), "--split", "train"]
    monkeypatch.setattr(sys, "argv", ["convert", *words])
    convert.main()
    assert "train_caps.txt" in (tmp_path / "SHA256SUMS").read_text()
    with pytest.raises(SystemExit, match="exists already"):
        convert.main()


def test_json_is_read_element_by_element(tmp_path: Path) -> None:
    values = [{"number": number, "text": "é" * 5_000} for number in range(100)]
    (tmp_path / "x.json").write_text(json.dumps({"a": 1, "list": values, "empty": [], "b": [1.5, -2]}))
    found = list(json_elements(tmp_path / "x.json", "x"))
    assert found == [*(("list", value) for value in values), ("b", 1.5), ("b", -2)]
