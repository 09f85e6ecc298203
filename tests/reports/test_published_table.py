"""The published table: its figures add up, and a run stands beside a row only where it is that setting."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from selfalign.commands import published as command
from selfalign.data.text.captions import read_captions
from selfalign.errors import UserError
from selfalign.functional.ranks import embedding_tile
from selfalign.metrics.protocols import RetrievalResult, evaluate
from selfalign.reports.published_table import NOT_RUN, Match, markdown, match, published, text
from selfalign.runs.ranks_file import fingerprint
from selfalign.runs.reading import read_runs
from selfalign.structures import CaptionEmbedding, ImageEmbedding
from tests.runs.made_runs import configuration, ranked, write_run

TABLE = published()
COCO = ("backbone=camera", "data=coco", "padding=paper", "loss=baseline")


def recipe(backbone: str, data: str, loss: str) -> Mapping[str, Any]:
    return configuration(f"backbone={backbone}", f"data={data}", f"loss={loss}", "padding=paper")


@pytest.fixture(scope="module")
def coco() -> list[RetrievalResult]:
    random = torch.Generator().manual_seed(0)
    image = ImageEmbedding(torch.randn(5000, 1, 8, generator=random), None)
    caption = CaptionEmbedding(torch.randn(25_000, 8, generator=random), None)
    owners = torch.arange(25_000) // 5
    tile = embedding_tile(image, caption)
    return [evaluate(tile, owners, 5000, protocol) for protocol in ("full", "coco_1k_5fold")]


def found(folders: list[Path], test_set: str, name: str) -> Match:
    rows = match(TABLE, read_runs(folders), recipe)
    (one,) = [one for one in rows if (one.row.set, one.row.name) == (test_set, name)]
    return one


def test_published_sums_are_those_of_their_recalls() -> None:
    shown = [row for row in TABLE.rows if row.recalls is not None]
    assert len(shown) == 11
    for row in shown:
        assert row.rsum == pytest.approx(sum(row.recalls or ()), abs=0.11)  # of rounded recalls
        assert row.source == row.backbone
    assert {row.source for row in TABLE.rows} == set(TABLE.sources)
    assert {row.set for row in TABLE.rows} == set(TABLE.sets)


def test_flickr30k_is_known_by_its_captions(shared: Path) -> None:
    texts = read_captions(shared / "data" / "f30k_caps" / "test_caps.txt")
    assert fingerprint(texts, [line // 5 for line in range(len(texts))]) == TABLE.sets["Flickr30K"].queries


def test_a_run_of_the_recipe_stands_beside_its_row(tmp_path: Path, coco: list[RetrievalResult]) -> None:
    folder = write_run(tmp_path / "run", *COCO, "data.workers=1", seed=7, results=coco, split="testall")
    for test_set, result in zip(("COCO 5K", "COCO 1K"), coco, strict=True):
        one = found([folder], test_set, "CAMERA")
        assert [run.folder.name for run in one.ours] == ["run"]
        assert not one.others
        assert f"{result.rsum:.1f} (1 seed)" in text(TABLE, [one], [])
    runs = read_runs([folder])
    rows = match(TABLE, runs, recipe)
    assert sum(bool(one.ours) for one in rows) == 2
    assert sum(NOT_RUN in text(TABLE, [one], runs) for one in rows) == len(rows) - 2
    assert markdown(TABLE, rows, runs).count("\n| ") == len(rows)


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("padding=masked", "padding=masked, published paper"),
        ("training.epochs=1", "training.epochs=1, published 40"),
        ("+strategy.limit_train_batches=4", "strategy.limit_train_batches=4, published –"),
        ("+data.training_captions=1000", "data.training_captions=1000, published –"),
        ("strategy.precision=bf16-mixed", "strategy.precision=bf16-mixed, published 32-true"),
        ("loss.ranking.margin=0.3", "loss.ranking.margin=0.3, published 0.2"),
        ("backbone.bert.source=folder/other-bert", "backbone.bert.source=other-bert"),
    ],
)
def test_a_run_that_differs_is_named_and_not_ours(
    tmp_path: Path, coco: list[RetrievalResult], override: str, named: str
) -> None:
    one = found([write_run(tmp_path / "run", *COCO, override, results=coco, split="testall")], "COCO 5K", "CAMERA")
    assert not one.ours
    assert named in text(TABLE, [one], [])
    assert NOT_RUN in text(TABLE, [one], [])


def test_protocols_data_sets_losses_and_ensembles_are_never_mixed(tmp_path: Path, coco: list[RetrievalResult]) -> None:
    folders = [
        write_run(tmp_path / "folds only", *COCO, results=coco[1:], split="testall"),
        write_run(tmp_path / "elsewhere", *COCO, "data.root=my/data", results=coco[:1], split="testall", seed=2),
        write_run(tmp_path / "dev", *COCO, results=coco[:1], split="devall", seed=3),
        write_run(tmp_path / "concept", *COCO[:3], "loss=concept", results=coco[:1], split="testall"),
        write_run(tmp_path / "scenes", "loss=baseline", "padding=paper", results=[ranked(1, 0.6)]),
        write_run(tmp_path / "f30k", "data=f30k", "loss=baseline", "padding=paper", results=[ranked(1, 0.6)]),
    ]
    runs = read_runs(folders)
    rows = match(TABLE, runs, recipe)
    placed = {(one.row.set, one.row.name) for one in rows if one.ours or one.others}
    assert placed == {("COCO 1K", "CAMERA")}
    assert "than any row: " in text(TABLE, rows, runs)
    assert " and 4 more" in text(TABLE, rows, runs)


def test_only_an_ensemble_of_two_seeds_stands_beside_an_ensemble(tmp_path: Path, coco: list[RetrievalResult]) -> None:
    def ensemble(name: str, *seeds: int | None) -> Path:
        models = [{**configuration(*COCO), "seed": seed} for seed in seeds]
        return write_run(tmp_path / name, models=models, results=coco, split="testall")

    good, same, authors = ensemble("good", 1, 2), ensemble("same", 1, 1), ensemble("authors", None, None)
    one = found([good, same, authors], "COCO 5K", "CAMERA*")
    assert [run.folder.name for run in one.ours] == ["good"]
    reasons = {run.folder.name: differs for run, differs in one.others}
    assert reasons == {"same": ("an ensemble of one seed",), "authors": ("a checkpoint of the authors",)}
    assert not found([good], "COCO 5K", "CAMERA").ours


def test_a_copy_is_no_second_seed(tmp_path: Path, coco: list[RetrievalResult]) -> None:
    folders = [write_run(tmp_path / name, *COCO, results=coco, split="testall") for name in ("a", "b")]
    with pytest.raises(UserError, match="a copy is no second seed"):
        found(folders, "COCO 5K", "CAMERA")


def test_the_command_shows_the_table_without_runs_and_knows_the_recipes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["published"])
    command.main()
    shown = capsys.readouterr().out
    assert shown.count(NOT_RUN) == len(TABLE.rows)
    assert "508.9" in shown
    assert "that of COCO 1K and COCO 5K only by folder name, split and size" in shown
    own = {key: value for key, value in command.recipe("camera", "coco", "baseline").items() if key != "logger"}
    assert own == recipe("camera", "coco", "baseline")
