"""Figures of phrases: every one by hand on ten images, and on scenes those that scenes themselves have."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from selfalign.commands import grounding as command
from selfalign.data.dataset import AlignmentDataset, open_split
from selfalign.data.scenes import ensure_scenes
from selfalign.data.text.tokenizers import WordTokenizer
from selfalign.data.text.vocabulary import Vocabulary
from selfalign.engine.grounding import ground
from selfalign.engine.restoring import restore
from selfalign.errors import UserError
from selfalign.metrics.alignment import AlignmentAccuracy
from selfalign.reports.grounding_report import grounding_figures
from tests.data.entities.made_entities import scenes_as_entities, write_entities

OLD = Path(__file__).parents[1] / "old_runs" / "camera"
REGIONS = np.array(
    [[25 * (i % 4), 30 * (i // 4), 25 * (i % 4) + 25, 30 * (i // 4) + 30] for i in range(12)], np.float32
)
CAPTIONS = ("first is here .", "two last there .", "it is nothing .", "something without box .", "other words here .")
SENTENCES = (
    "[/EN#7/people First] is here .",
    "[/EN#8/animals/other Two last] there .",
    "[/EN#0/notvisual It] is nothing .",
    "[/EN#9/scene Something] without box .",
    "[/EN#7/people First] is what the caption does not say .",
)


@pytest.fixture
def ten(tmp_path: Path) -> Path:
    """Ten images of 12 regions, 4 by 3, in ``data``; "first" names region k in image k, twice as large on disk."""
    data = tmp_path / "data"
    data.mkdir()
    np.save(data / "test_ims.npy", np.tile(np.eye(12, dtype=np.float32), (10, 1, 1)))
    np.save(data / "test_boxes.npy", np.tile(REGIONS, (10, 1, 1)))
    np.save(data / "test_img_sizes.npy", np.tile(np.array([100, 90], np.float32), (10, 1)))
    (data / "test_caps.txt").write_text("\n".join(CAPTIONS * 10) + "\n")
    (data / "test_images.txt").write_text("\n".join(f"photo{k}.jpg" for k in range(10)) + "\n")
    for k in range(10):
        boxes = {"7": [2 * REGIONS[k]], "8": [2 * REGIONS[11], 2 * REGIONS[0]]}
        write_entities(tmp_path / "entities", f"photo{k}", SENTENCES, boxes, (200, 180), {"9": "scene"})
    return tmp_path


class Towers:
    """Words "first" and "last" score the regions in and against their order; others say nothing."""

    def __init__(self, ids: dict[str, int]) -> None:
        self.first, self.last = ids["first"], ids["last"]

    def to(self, device: Any) -> Towers:
        return self

    def encode_captions(self, batch: Any) -> Any:
        order = torch.arange(12.0) / 12
        words = torch.zeros(*batch.tokens.shape, 12)
        words[batch.tokens == self.first] = 1 - order
        words[batch.tokens == self.last] = order
        return SimpleNamespace(concepts=words)

    def encode_images(self, batch: Any) -> Any:
        return SimpleNamespace(concepts=batch.regions.float())


def fake(loss: dict[str, Any] | None = None) -> Any:
    """As much of a restored model as grounding needs."""
    vocabulary = Vocabulary.build(list(CAPTIONS), minimum_count=1)
    tokenizer = WordTokenizer(vocabulary)
    config = {"data": {"boxes": "pixels"}, "loss": loss or {}}
    return SimpleNamespace(
        module=SimpleNamespace(backbone=Towers(vocabulary.ids)),
        tokenizer=tokenizer,
        provenance=SimpleNamespace(config=config, region_width=12),
        needs_boxes=False,
        padded_length=None,
        source="a model",
    )


def figures_of(found: Any) -> Any:
    images = np.array([phrase.image for phrase in found.phrases])
    return grounding_figures(found.places, found.chances, images, [phrase.types for phrase in found.phrases])


@pytest.mark.parametrize("joining", ["mean", "max"])
def test_every_figure_of_ten_images_by_hand(ten: Path, joining: Any) -> None:
    found = ground(fake(), ten / "entities", ten / "data", "test", joining=joining)
    assert dict(found.left_out) == {
        "phrases that are not visual": 10,
        "phrases without a box": 10,
        "captions without a sentence of these words": 10,
    }
    assert found.cut == 0
    figures = figures_of(found)
    assert {kind: one.phrases for kind, one in figures.items()} == {"all": 20, "people": 10, "animals": 10, "other": 10}
    # "first" in image k chooses region 0 first and region k at place k + 1; "last" chooses region 11, one of its two.
    people = {
        "pointing": 10,
        "r1": 10,
        "r5": 50,
        "r10": 100,
        "upper": 100,
        "chance": 100 / 12,
        "pointing_chance": 100 / 12,
    }
    for truth in ("any", "union"):  # one box: the box around it
        for name, value in people.items():
            assert figures["people"].figures[f"{name}_{truth}"] == pytest.approx(value), name
    animals = {
        "any": {"pointing": 100, "r1": 100, "r5": 100, "upper": 100, "chance": 100 / 6, "pointing_chance": 100 / 6},
        # The box around both is the whole image: no region overlaps it by half, every centre lies in it.
        "union": {"pointing": 100, "r1": 0, "r10": 0, "upper": 0, "chance": 0, "pointing_chance": 100},
    }
    for truth, values in animals.items():
        for name, value in values.items():
            assert figures["animals"].figures[f"{name}_{truth}"] == pytest.approx(value), name
    assert figures["other"].figures == figures["animals"].figures
    every = figures["all"].figures
    assert [every[f"{name}_any"] for name in ("pointing", "r1", "r5", "r10")] == pytest.approx([55, 55, 75, 100])
    assert [every[f"{name}_union"] for name in ("pointing", "r1", "r5", "r10")] == pytest.approx([55, 5, 25, 50])
    low, high = figures["all"].intervals["r5_any"]
    assert 50 <= low < 75 < high <= 100


def test_padding_is_no_region_to_choose(ten: Path) -> None:
    data = ten / "data"
    features, boxes = np.load(data / "test_ims.npy"), np.load(data / "test_boxes.npy")
    loud = np.full((10, 1, 12), 5, np.float32)  # whatever a word says, this answers best
    np.save(data / "test_ims.npy", np.concatenate([features, loud], axis=1))
    np.save(data / "test_boxes.npy", np.concatenate([boxes, np.tile(np.float32([0, 0, 1, 1]), (10, 1, 1))], axis=1))
    np.save(data / "test_num_regions.npy", np.array([12] * 9 + [13]))  # real in the last image only
    figures = figures_of(ground(fake(), ten / "entities", data, "test"))
    people, animals = (figures[kind].figures for kind in ("people", "animals"))
    assert [people[f"{name}_any"] for name in ("r1", "r5", "r10")] == pytest.approx([10, 50, 90])
    assert animals["r1_any"] == pytest.approx(90)
    assert people["chance_any"] == pytest.approx(100 * (9 / 12 + 1 / 13) / 10)


def test_equal_scores_count_against_the_model(ten: Path) -> None:
    model = fake()
    model.module.backbone.first = model.module.backbone.last = -1  # no word says anything
    figures = figures_of(ground(model, ten / "entities", ten / "data", "test"))
    assert figures["all"].figures["r1_any"] == 0
    assert figures["all"].figures["r10_any"] == 0


def test_words_beyond_what_the_model_reads_are_wrong_and_counted(ten: Path) -> None:
    model = fake()
    encode = model.tokenizer.encode

    def cut(captions: list[str]) -> Any:
        found = encode(captions)
        return type(found)(found.tokens, np.full_like(found.words, -1), found.offsets, found.pad_id)

    model.tokenizer.encode = cut
    model.tokenizer.state = lambda: {"kind": "cut"}
    found = ground(model, ten / "entities", ten / "data", "test")
    assert found.cut == 20
    assert figures_of(found)["all"].figures["r10_any"] == 0


def test_attention_is_that_of_word_contrast_and_refused_without(ten: Path) -> None:
    with pytest.raises(UserError, match="without word contrast"):
        ground(fake(), ten / "entities", ten / "data", "test", attention=True)
    model = fake({"words": {"weight": 1.0, "attention_temperature": 0.1}})
    found = ground(model, ten / "entities", ten / "data", "test", attention=True)
    assert figures_of(found)["all"].figures["r5_any"] == pytest.approx(75)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("data/test_images.txt", "nothing tells the photographs' names"),
        ("entities/Sentences/photo3.txt", "sentences .*photo3.txt: cannot be read"),
        ("entities/Annotations/photo3.xml", "annotations .*photo3.xml: cannot be read"),
    ],
)
def test_what_is_missing_is_named_in_one_line(ten: Path, missing: str, message: str) -> None:
    (ten / missing).unlink()
    with pytest.raises(UserError, match=message):
        ground(fake(), ten / "entities", ten / "data", "test")


def test_other_captions_have_no_phrase(ten: Path) -> None:
    (ten / "data" / "test_caps.txt").write_text("nothing of it .\n" * 50)
    with pytest.raises(UserError, match="50 captions without a sentence of these words"):
        ground(fake(), ten / "entities", ten / "data", "test")


def test_scenes_in_entities_format_have_the_figures_of_scenes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "scenes"
    ensure_scenes(root=root, seed=5, train=2, dev=1, test=14, progress=lambda line: None)
    scenes_as_entities(root, "test", tmp_path / "entities")
    model = restore(OLD)
    split = open_split(root, "test", model.tokenizer, boxes=True)
    annotated = AlignmentDataset(split)
    batch = annotated.__getitems__(range(len(annotated)))
    metric = AlignmentAccuracy()
    with torch.inference_mode():
        words = model.module.backbone.encode_captions(batch.pairs.captions).concepts
        metric.update(model.module.backbone.encode_images(batch.pairs.images).concepts, words, batch)
    expected = metric.compute()
    arguments = [
        str(OLD),
        "--entities",
        str(tmp_path / "entities"),
        "--data",
        str(root),
        "--out",
        str(tmp_path / "out"),
    ]
    monkeypatch.setattr(sys, "argv", ["selfalign grounding", *arguments])
    assert command.main() == 0
    figures = json.loads((tmp_path / "out" / "grounding.json").read_text())["figures"]
    assert figures["all"]["phrases"] == expected["words"] > 100
    for name, known in (("r1", "phrase"), ("r5", "phrase_r5"), ("r10", "phrase_r10"), ("chance", "chance")):
        assert figures["all"]["figures"][f"{name}_any"] == pytest.approx(expected[known], abs=1e-9), name
    assert figures["other"] == figures["all"]
    assert (tmp_path / "out" / "grounding.png").is_file()
    assert f"{expected['words']} phrases with boxes in 14 images" in capsys.readouterr().out
