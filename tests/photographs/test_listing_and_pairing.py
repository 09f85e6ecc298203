"""Which photographs a folder has, in which order, and which captions are theirs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from selfalign.errors import UserError
from selfalign.photographs.listing import list_photographs
from selfalign.photographs.pairing import PhotographSplit, splits_with_captions, splits_without_captions

NAMES = ("b.jpg", "a two.PNG", 'it\'s "q".jpeg', "Ünï.jpg", "<script>alert(1)</script>.png", "sub/c.jpg", "日本.png")
CAPTIONS = ["one", "two", "three", "four", "five"]


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def test_names_of_every_kind_are_listed_in_one_order(tmp_path: Path) -> None:
    names = [name for name in NAMES if not name.startswith("<")] + ["<script>.png"]
    listing = list_photographs(touch(tmp_path, *names, ".hidden.jpg", ".thumbs/x.jpg", "a.heic", "b.HEIC", "README"))
    assert listing.names == tuple(sorted(names))
    assert dict(listing.others) == {".heic": 2, "no ending": 1}
    assert not listing.unusable


@pytest.mark.parametrize("name", ["a\nb.jpg", " a.jpg", "~a.jpg", "c:d.jpg", "a\\b.jpg", "x" * 249 + "/aaaaaaa.jpg"])
def test_names_that_no_list_can_hold_are_told(name: str, tmp_path: Path) -> None:
    listing = list_photographs(touch(tmp_path, name, "fine.jpg"))
    assert listing.names == ("fine.jpg",)
    assert list(listing.unusable) == [name]


def test_a_name_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"")
    assert list(list_photographs(tmp_path).unusable.values()) == ["its name is not UTF-8"]


@pytest.mark.parametrize("kind", ["file", "folder", "nowhere", "itself"])
def test_links_out_of_the_folder_are_refused(kind: str, tmp_path: Path) -> None:
    folder = touch(tmp_path / "photos", "a.jpg")
    touch(tmp_path / "elsewhere", "secret.jpg")
    target = {"file": "../elsewhere/secret.jpg", "folder": "../elsewhere", "nowhere": "gone.jpg", "itself": "link.jpg"}
    (folder / "link.jpg").symlink_to(target[kind])
    with pytest.raises(UserError, match=r"link\.jpg: a link"):
        list_photographs(folder)


def test_links_within_the_folder_are_fine(tmp_path: Path) -> None:
    folder = touch(tmp_path / "photos", "a.jpg", "sub/b.jpg")
    (folder / "c.jpg").symlink_to("sub/b.jpg")
    (folder / "again").symlink_to("sub")
    (tmp_path / "alias").symlink_to(folder)
    assert list_photographs(tmp_path / "alias").names == ("a.jpg", "c.jpg", "sub/b.jpg")


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", touch(tmp_path, "a.jpg") / "a.jpg"):
        with pytest.raises(UserError, match="no such folder"):
            list_photographs(path)
    with pytest.raises(UserError, match="no JPEG or PNG"):
        splits_without_captions(list_photographs(touch(tmp_path / "empty", "a.txt")), "test")


def paired(
    folder: Path, source: Path, split: str = "test", names: Path | None = None, **options: bool
) -> list[PhotographSplit]:
    said: list[str] = []
    return splits_with_captions(list_photographs(folder), source, split, names, said.append, **options)


def forms(folder: Path) -> dict[str, Path]:
    """The captions of b.jpg and a.png, in that order, in every form that names photographs."""
    images = ("b.jpg", "a.png")
    pairs = [(image, number, f"{text} of {image[0]}") for image in images for number, text in enumerate(CAPTIONS)]
    records = [
        {"filename": image, "split": "test", "sentences": [{"raw": text} for name, _, text in pairs if name == image]}
        for image in images
    ]
    contents = {
        "token.txt": "".join(f"{image}#{number}\t{text}\n" for image, number, text in pairs),
        "table.csv": "image,caption\n" + "".join(f"{image},{text}\n" for image, _, text in pairs),
        "dataset_mine.json": json.dumps({"images": records, "dataset": "mine"}),
        "test_caps.txt": "".join(f"{text}\n" for _, _, text in pairs),
    }
    for name, content in contents.items():
        (folder / name).write_text(content)
    (folder / "test_images.txt").write_text("b.jpg\na.png\n")
    return {name: folder / name for name in contents}


@pytest.mark.parametrize("form", ["token.txt", "table.csv", "dataset_mine.json", "test_caps.txt"])
def test_captions_of_every_form_find_their_photographs_in_the_captions_order(form: str, tmp_path: Path) -> None:
    folder = touch(tmp_path / "photos", "a.png", "sub/b.jpg", "c.jpg")
    (split,) = paired(folder, forms(tmp_path)[form])
    assert split.photographs == ("sub/b.jpg", "a.png")
    assert split.captions is not None
    assert split.captions["a.png"] == [f"{text} of a" for text in CAPTIONS]


def test_what_has_no_partner_is_told_and_refused_where_asked(tmp_path: Path) -> None:
    source = forms(tmp_path)["token.txt"]
    folder = touch(tmp_path / "photos", "a.png", "c.jpg")
    said: list[str] = []
    splits_with_captions(list_photographs(folder), source, "test", None, said.append)
    assert "without a photograph, first b.jpg" in said[0]
    assert "without captions" in said[1]
    assert "c.jpg" in said[1]
    with pytest.raises(UserError, match="--strict"):
        paired(folder, source, strict=True)
    with pytest.raises(UserError, match="of none of the photographs"):
        paired(touch(tmp_path / "others", "z.jpg"), source)


def test_all_parts_of_karpathy_s_file_are_splits(tmp_path: Path) -> None:
    parts = {"0.jpg": "train", "1.jpg": "restval", "2.jpg": "val", "3.jpg": "test", "4.jpg": "train"}
    records = [
        {
            "filepath": "x",
            "filename": image,
            "split": part,
            "sentences": [{"raw": f"{text} {image}"} for text in CAPTIONS],
        }
        for image, part in parts.items()
    ]
    (tmp_path / "d.json").write_text(json.dumps({"images": records}))
    splits = paired(touch(tmp_path / "photos", *parts), tmp_path / "d.json", "all")
    assert [(split.name, split.photographs) for split in splits] == [
        ("train", ("0.jpg", "1.jpg", "4.jpg")),
        ("dev", ("2.jpg",)),
        ("test", ("3.jpg",)),
    ]
    (test,) = paired(tmp_path / "photos", tmp_path / "d.json", "test")
    assert test == splits[2]
    with pytest.raises(UserError, match="none of nowhere; parts there"):
        paired(tmp_path / "photos", tmp_path / "d.json", "nowhere")


def test_captions_that_cannot_be_paired_are_refused(tmp_path: Path) -> None:
    folder = touch(tmp_path / "photos", "x/a.png", "y/a.png", "b.jpg", "b.png")
    named = forms(tmp_path)
    with pytest.raises(UserError, match=r"may be x/a\.png or y/a\.png"):
        paired(touch(tmp_path / "double", "x/a.png", "y/a.png", "b.jpg"), named["token.txt"])
    (tmp_path / "plain.txt").write_text("\n".join(CAPTIONS))
    with pytest.raises(UserError, match="pass --names"):
        paired(folder, tmp_path / "plain.txt")
    (tmp_path / "names.txt").write_text("b.jpg\nb.png\n")
    with pytest.raises(UserError, match=r"2, the captions in .* are of 1 photographs"):
        paired(folder, tmp_path / "plain.txt", names=tmp_path / "names.txt")
    with pytest.raises(UserError, match="tells no parts"):
        paired(folder, named["token.txt"], "all")
    with pytest.raises(UserError, match="needs --captions"):
        splits_without_captions(list_photographs(folder), "all")
    (tmp_path / "four.txt").write_text("".join(f"b.jpg#{number}\tfour\n" for number in range(4)))
    with pytest.raises(UserError, match="has 4, every image needs 5"):
        paired(folder, tmp_path / "four.txt")


@pytest.mark.parametrize("split", ["", "a/b", "..", " train", "a\nb"])
def test_a_split_s_name_is_part_of_a_file_s_name(split: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--split"):
        splits_without_captions(list_photographs(touch(tmp_path, "a.jpg")), split)
