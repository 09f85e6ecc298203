"""An index answers as the whole table would, goes on after an interruption, and is never another's."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from selfalign.commands.search import image_table
from selfalign.errors import UserError
from selfalign.files.locks import lock
from selfalign.gallery import index as index_module
from selfalign.gallery import writing
from selfalign.gallery.index import Index
from selfalign.gallery.record import IMAGES, NAME, UNFINISHED, file_record, read_record, write_record
from selfalign.gallery.writing import write_index
from selfalign.retriever import Retriever

SENTENCES = ["a small red star", "two blue balls in the snow", "a crescent"]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_PART", {"images": 5, "captions": 17})


@pytest.fixture
def made(camera: Retriever, scenes: Path, tmp_path: Path) -> Path:
    write_index(camera, tmp_path / "index", scenes, "test")
    return tmp_path / "index"


@pytest.mark.parametrize("name", ["camera", "vsrn", "both"])
@pytest.mark.parametrize("kept", [2**30, 0], ids=["in memory", "part by part"])
def test_it_answers_as_the_whole_table_would(
    name: str, kept: int, scenes: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_KEPT", kept)
    model: Retriever = request.getfixturevalue(name)
    write_index(model, tmp_path / "index", scenes, "test", batch_size=4)
    index = Index.open(tmp_path / "index")
    images, captions = model.encode_images(scenes), model.encode_captions(index.captions)
    queries = model.encode_captions(SENTENCES)
    for gallery, asked in ((images, queries), (captions, index.vectors_of_image(7))):
        expected, found = model.search(gallery, asked, top=6), index.search(asked, top=6)
        assert torch.equal(found.rows, expected.rows)
        torch.testing.assert_close(found.scores, expected.scores, rtol=0, atol=1e-6)
    assert bool(index._kept) == bool(kept)


def test_of_equal_scores_the_first_row_comes_first_across_parts(made: Path, camera: Retriever) -> None:
    index = Index.open(made)
    first = index._part("images-00000.safetensors")
    for name in index.record.parts("images"):
        index._kept[name] = first[0:1]
    found = index.search(camera.encode_captions(SENTENCES), top=3)
    assert found.rows.tolist() == [[0, 1, 2]] * 3


def test_images_have_names_ids_and_captions(made: Path, scenes: Path) -> None:
    image = Index.open(made).image(11)
    assert image.name == "images/test_00011.png"
    assert (scenes / image.name).is_file()
    assert image.captions == (55, 56, 57, 58, 59)


def interrupted(monkeypatch: pytest.MonkeyPatch, after: int) -> list[int]:
    """Let the encoding of captions end after some parts, as Ctrl-C would; sizes of what was encoded."""
    encode, sizes = Retriever.encode_captions, []

    def counted(self: Retriever, captions: list[str], *rest: Any) -> Any:
        if len(sizes) == after:
            raise KeyboardInterrupt
        sizes.append(len(captions))
        return encode(self, captions, *rest)

    monkeypatch.setattr(Retriever, "encode_captions", counted)
    return sizes


def begin(model: Retriever, folder: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
    """An index of all images and some parts of the captions."""
    with monkeypatch.context() as patched:
        interrupted(patched, after)
        with pytest.raises(KeyboardInterrupt):
            write_index(model, folder, scenes, "test")


def test_it_goes_on_after_an_interruption_to_the_same_files(
    made: Path, camera: Retriever, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(camera, tmp_path / "other", scenes, monkeypatch, after=2)
    with pytest.raises(UserError, match="unfinished; the same"):
        Index.open(tmp_path / "other")
    (tmp_path / "other" / ".captions-00002.safetensors.partial").unlink(missing_ok=True)
    sizes = interrupted(monkeypatch, after=99)
    said: list[str] = []
    write_index(camera, tmp_path / "other", scenes, "test", say=said.append)
    assert sizes == [17, 9]
    assert "5 files are there" in said[0]
    assert {path.name for path in made.iterdir()} == {path.name for path in (tmp_path / "other").iterdir()}
    for path in made.glob("*.safetensors"):
        ours, theirs = load_file(path), load_file(tmp_path / "other" / path.name)
        assert all(torch.equal(theirs[name], ours[name]) for name in ours)
    assert not (tmp_path / "other" / UNFINISHED).exists()


def test_a_finished_one_is_not_encoded_again(
    made: Path, camera: Retriever, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in made.iterdir()}
    interrupted(monkeypatch, after=0)
    record = write_index(camera, made, scenes, "test")
    assert (record.images, record.captions) == (12, 60)
    assert {path.name: path.stat().st_mtime_ns for path in made.iterdir()} == before


def test_a_part_that_was_damaged_in_an_unfinished_one_is_named(
    camera: Retriever, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(camera, tmp_path / "index", scenes, monkeypatch, after=1)
    exchange(tmp_path / "index" / "images-00001.safetensors")
    with pytest.raises(UserError, match=r"images-00001\.safetensors is not the file that was written"):
        write_index(camera, tmp_path / "index", scenes, "test")


def test_another_model_or_other_data_never_continue_it(
    made: Path, camera: Retriever, vsrn: Retriever, scenes: Path, tmp_path: Path
) -> None:
    shutil.copytree(scenes, tmp_path / "changed")
    for model, data, split in ((vsrn, scenes, "test"), (camera, scenes, "dev"), (camera, tmp_path / "changed", "test")):
        with pytest.raises(UserError, match="another model, of other or changed data"):
            write_index(model, made, data, split)


def test_a_folder_with_other_files_is_left_alone(camera: Retriever, scenes: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(UserError, match=r"holds other files, as thesis\.tex"):
        write_index(camera, tmp_path, scenes, "test")


def test_two_processes_never_write_one_index(made: Path, camera: Retriever, scenes: Path) -> None:
    with lock(made / ".lock"), pytest.raises(UserError, match="another process"):
        write_index(camera, made, scenes, "test")


def answer(folder: Path, model: Retriever) -> None:
    """Search both ways."""
    index = Index.open(folder)
    index.search(model.encode_captions(SENTENCES))
    index.search(index.vectors_of_image(0))


def exchange(path: Path) -> None:
    """One bit of a value, and no byte more or less."""
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "name", ["images-00001.safetensors", "captions-00002.safetensors", "captions.txt", "images.json"]
)
@pytest.mark.parametrize("damage", ["cut", "missing", "exchanged"])
def test_a_damaged_file_is_named_before_anything_is_answered(
    made: Path, camera: Retriever, name: str, damage: str
) -> None:
    if damage == "cut":
        (made / name).write_bytes((made / name).read_bytes()[:-3])
    elif damage == "missing":
        (made / name).unlink()
    else:
        exchange(made / name)
    with pytest.raises(UserError, match=re.escape(name)) as caught:
        answer(made, camera)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_exchanged_between_two_searches_is_named(
    made: Path, camera: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_KEPT", 0)
    index, queries = Index.open(made), camera.encode_captions(SENTENCES)
    compared = []
    compare = index_module.require_unchanged
    monkeypatch.setattr(
        index_module, "require_unchanged", lambda *names: (compared.append(names[1]), compare(*names))[1]
    )
    index.search(queries)
    index.search(queries)
    assert len(compared) == len(set(compared)) == 3
    exchange(made / "images-00002.safetensors")
    with pytest.raises(UserError, match=r"images-00002\.safetensors is not the file"):
        index.search(queries)


def test_vectors_of_another_model_are_refused_even_with_a_record_that_fits(
    made: Path, vsrn: Retriever, camera: Retriever, scenes: Path, tmp_path: Path
) -> None:
    write_index(vsrn, tmp_path / "vsrn", scenes, "test")
    name = "images-00000.safetensors"
    shutil.copy(tmp_path / "vsrn" / name, made / name)
    record = read_record(made / NAME)
    files = {**record.files, name: file_record(made / name, 5)}
    write_record(type(record)(**{**vars(record), "files": files}), made / NAME)
    with pytest.raises(UserError, match=f"{name} is of another index"):
        Index.open(made).search(camera.encode_captions(SENTENCES))


def test_a_model_that_did_not_make_it_is_refused(made: Path, vsrn: Retriever, camera: Retriever) -> None:
    index = Index.open(made)
    with pytest.raises(UserError, match="made by another model"):
        index.search(vsrn.encode_captions(SENTENCES))
    with pytest.raises(UserError, match="made by another model"):
        index.load_model(str(vsrn.sources[0]))
    assert index.load_model().identities == camera.identities


def test_a_model_that_has_moved_is_asked_for(made: Path, camera: Retriever) -> None:
    record = read_record(made / NAME)
    write_record(type(record)(**{**vars(record), "models": ("/gone/run",)}), made / NAME)
    with pytest.raises(UserError, match=r"its model is not where it was .*pass --model"):
        Index.open(made).load_model()
    assert Index.open(made).load_model(camera.sources[0]).identities == camera.identities


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a/../../b.png", 7])
def test_a_photographs_name_never_leaves_its_folder(made: Path, name: object) -> None:
    known = json.loads((made / IMAGES).read_text())
    known["names"][3] = name
    (made / IMAGES).write_text(json.dumps(known))
    record = read_record(made / NAME)
    files = {**record.files, IMAGES: file_record(made / IMAGES, 12)}
    write_record(type(record)(**{**vars(record), "files": files}), made / NAME)
    index = Index.open(made)
    assert index.image(2).name == "images/test_00002.png"
    with pytest.raises(UserError, match="leaves the folder"):
        index.image(3)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"images": "12"},
        {"models": []},
        {"files": {"../../x": {"rows": 1, "bytes": 1, "sha256": ""}}},
        {"data": 3},
    ],
)
def test_a_record_that_was_changed_is_one_line(made: Path, change: dict[str, Any]) -> None:
    record = json.loads((made / NAME).read_text()) | change
    (made / NAME).write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"index\.json") as caught:
        Index.open(made)
    assert "\n" not in str(caught.value)


def test_rows_that_there_are_not_and_folders_that_are_none(made: Path, tmp_path: Path) -> None:
    index = Index.open(made)
    for row in (-1, 12):
        with pytest.raises(UserError, match="expected a row from 0 to 11"):
            index.vectors_of_image(row)
    with pytest.raises(UserError, match="no index"):
        Index.open(tmp_path / "nothing")


def test_images_without_captions_are_a_gallery(made: Path, camera: Retriever, scenes: Path, tmp_path: Path) -> None:
    shutil.copytree(scenes, tmp_path / "data")
    (tmp_path / "data" / "test_caps.txt").unlink()
    record = write_index(camera, tmp_path / "bare", tmp_path / "data", "test")
    assert (record.images, record.captions) == (12, 0)
    index, whole = Index.open(tmp_path / "bare"), Index.open(made)
    queries = camera.encode_captions(SENTENCES)
    assert torch.equal(index.search(queries).rows, whole.search(queries).rows)
    assert not index.image(7).captions
    with pytest.raises(UserError, match="have no captions to be searched"):
        index.search(index.vectors_of_image(7))
    lines = image_table(index, index.search(queries, top=2), 0).splitlines()
    assert len(lines) == 3
    assert "images/test_000" in lines[1]


def test_captions_of_any_number_belong_to_their_images(vsrn: Retriever, scenes: Path, tmp_path: Path) -> None:
    """Three images without boxes; the second has no caption, and the captions stand in no order."""
    data = tmp_path / "data"
    data.mkdir()
    np.save(data / "test_ims.npy", np.load(scenes / "test_ims.npy")[:3])
    (data / "test_caps.txt").write_text("a red ball\na blue box\na red star\n")
    (data / "test_ids.txt").write_text("c\na\nc\n")
    (data / "test_image_ids.txt").write_text("a\nb\nc\n")
    write_index(vsrn, tmp_path / "index", data, "test")
    index = Index.open(tmp_path / "index")
    assert [index.image(row).captions for row in range(3)] == [(1,), (), (0, 2)]
    assert [index.image(row).id for row in range(3)] == ["a", "b", "c"]
    assert "a blue box" in image_table(index, index.search(vsrn.encode_captions(["a box"]), top=3), 0)


def test_an_index_from_before_images_had_any_number_of_captions_has_five_each(made: Path) -> None:
    known = json.loads((made / IMAGES).read_text())
    del known["image_of_caption"]
    (made / IMAGES).write_text(json.dumps(known) + "\n")
    record = read_record(made / NAME)
    files = {**record.files, IMAGES: file_record(made / IMAGES, 12)}
    write_record(replace(record, files=files), made / NAME)
    assert Index.open(made).image(11).captions == (55, 56, 57, 58, 59)
