"""Candidates by FAISS have exact scores, what they miss is measured, and a file of another index is refused."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("faiss", reason="needs the extra search")

from selfalign.commands import search as search_command
from selfalign.errors import UserError
from selfalign.functional.search import Hits
from selfalign.gallery import approximate
from selfalign.gallery.approximate import LISTS, RECORD, Approximate, build, described
from selfalign.gallery.index import Index
from selfalign.gallery.record import CAPTIONS, IMAGES, NAME, IndexRecord, file_record, part_name, write_record
from selfalign.gallery.writing import write_index
from selfalign.retriever import Retriever
from selfalign.runs.embeddings import Embeddings
from selfalign.structures import CaptionEmbedding, ImageEmbedding

SENTENCES = ["a small red star", "two blue balls in the snow"]


def grouped(folder: Path, images: int = 2000, views: int = 2, width: int = 16) -> Index:
    """A gallery of vectors that form 40 groups, with context, and captions that are near their images."""
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)

    def unit(*shape: int) -> torch.Tensor:
        return torch.nn.functional.normalize(torch.randn(*shape, generator=generator), dim=-1)

    centres = unit(40, 1, width)[torch.arange(images) % 40]
    embedded = ImageEmbedding(
        torch.nn.functional.normalize(centres + 0.3 * unit(images, views, width), dim=-1), 0.1 * unit(images, 2 * width)
    )
    vector = torch.nn.functional.normalize(embedded.views[:, 0] + 0.1 * unit(images, width), dim=-1)
    described_by = CaptionEmbedding(vector, 0.1 * unit(images, 2 * width))
    record = IndexRecord(("m",), ("m",), "", "test", "pixels", "", {}, images, images, {})
    for kind, part in (("images", embedded), ("captions", described_by)):
        Embeddings((part,), ("m",)).save(folder / part_name(kind, 0))
    (folder / CAPTIONS).write_text("a caption\n" * images)
    (folder / IMAGES).write_text(json.dumps({"names": [None] * images, "ids": None}))
    names = (part_name("images", 0), part_name("captions", 0), CAPTIONS, IMAGES)
    record = replace(record, files={name: file_record(folder / name, images) for name in names})
    write_record(record, folder / NAME)
    return Index.open(folder)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Index:
    index = grouped(tmp_path_factory.mktemp("approximate") / "index")
    build(index)
    return index


def test_it_finds_what_it_says_in_a_part_of_the_lists(gallery: Index) -> None:
    found = Approximate.open(gallery)
    measured = found.measured
    assert measured.probes < measured.lists
    assert 0.95 <= measured.recall <= 1
    queries = next(gallery.parts("captions"))[3:400:4]
    exact, near = gallery.search(queries, 10), found.search(queries, 10)
    shared = (near.rows[:, :, None] == exact.rows[:, None, :]).any(dim=1).float().mean()
    assert shared == pytest.approx(measured.recall, abs=0.05)
    assert f"{measured.recall:.1%}" in described(measured)


def test_scores_are_exact_views_and_context_included(gallery: Index) -> None:
    queries = next(gallery.parts("captions"))[:5]
    everything = gallery.search(queries, 2000)
    near = Approximate.open(gallery).search(queries, 7)
    for query in range(5):
        exact = dict(zip(everything.rows[query].tolist(), everything.scores[query].tolist(), strict=True))
        assert near.scores[query].tolist() == pytest.approx([exact[row] for row in near.rows[query].tolist()], abs=1e-6)
        assert near.scores[query].tolist() == sorted(near.scores[query].tolist(), reverse=True)


def test_a_recall_that_is_lower_is_reported(gallery: Index, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(gallery.folder, tmp_path / "index")
    monkeypatch.setattr(approximate, "_WANTED", 0.0)
    low = build(Index.open(tmp_path / "index")).measured
    assert low.probes == 1
    assert low.recall < Approximate.open(gallery).measured.recall


def test_where_lists_hold_too_few_the_answer_is_the_exact_one(gallery: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Approximate.open(gallery)
    found._lists = SimpleNamespace(ntotal=9, search=lambda _, count: (None, np.full((1, count), -1)))
    monkeypatch.setattr(Index, "search", lambda *_: Hits(torch.zeros(1, 7).long(), torch.ones(1, 7)))
    assert found._of_one(next(gallery.parts("captions"))[:1], 7).scores.tolist() == [[1.0] * 7]


def test_damage_and_other_indexes_are_refused_by_name(gallery: Index, tmp_path: Path) -> None:
    for name, change, words in (
        (LISTS, lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?"), r"approximate\.faiss: is not the file"),
        (LISTS, lambda path: path.write_bytes(b""), r"approximate\.faiss"),
        (RECORD, lambda path: path.write_text("{}"), "damaged"),
        (RECORD, lambda path: path.unlink(), "has no approximate index"),
        (NAME, lambda path: path.write_text(path.read_text().replace('"m"', '"n"')), "of another one"),
    ):
        shutil.copytree(gallery.folder, tmp_path / "index", dirs_exist_ok=True)
        change(tmp_path / "index" / name)
        with pytest.raises(UserError, match=words):
            Approximate.open(Index.open(tmp_path / "index"))


def test_what_it_cannot_do_is_one_line(
    both: Retriever, scenes: Path, gallery: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_index(both, tmp_path / "index", scenes, "test")
    with pytest.raises(UserError, match="expected one model"):
        build(Index.open(tmp_path / "index"))
    with pytest.raises(UserError, match="made by another model"):
        Approximate.open(gallery).search(both.encode_captions(SENTENCES))
    with pytest.raises(UserError, match="captions are searched exactly"):
        Approximate.open(gallery).search(gallery.vectors_of_image(0))
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UserError, match=r"pip install 'selfalign\[search\]'"):
        build(gallery)


def test_the_command_says_how_much_it_finds(
    camera: Retriever, scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_index(camera, tmp_path / "index", scenes, "test")
    build(Index.open(tmp_path / "index"))
    assert search_command.main([str(tmp_path / "index"), *SENTENCES, "--approximate"]) == 0
    near = capsys.readouterr().out.splitlines()
    assert near[0].startswith("approximate: looks into ")
    assert search_command.main([str(tmp_path / "index"), *SENTENCES]) == 0
    assert near[1:] == capsys.readouterr().out.splitlines()
