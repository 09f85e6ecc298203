"""A model of one data set on another: its words carried or extended, its weights where they fit, the rest told."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from selfalign.commands.export import main as export
from selfalign.data.text.tokenizers import WordTokenizer
from selfalign.data.text.vocabulary import Vocabulary
from selfalign.engine.building import build_module
from selfalign.engine.evaluation import evaluate_checkpoints
from selfalign.engine.modules.retrieval import RetrievalModule
from selfalign.engine.starting import load_weights, start_tokenizer
from selfalign.errors import UserError
from selfalign.runs.checkpoint import read_checkpoint
from tests.conftest import write_scan_folder

RUN = Path(__file__).parents[1] / "old_runs" / "vsrn"
BEST = RUN / "checkpoints" / "best.ckpt"
WIDTH = 125
CPU = {"strategy": "auto", "accelerator": "cpu", "devices": 1, "num_nodes": 1, "precision": "32-true"}


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A data set that was not trained on, with some of the words and others."""
    return write_scan_folder(tmp_path / "other", {"train": 12, "dev": 6, "test": 8}, width=WIDTH)


def config(root: Path, **settings: Any) -> dict[str, Any]:
    found = copy.deepcopy(read_checkpoint(BEST)[0].config)
    found["data"] |= {"root": str(root), "scenes": None, "training_captions": None}
    return found | {"init_from": str(BEST), "init_words": "carried"} | settings


def started(settings: dict[str, Any], width: int = WIDTH) -> tuple[RetrievalModule, WordTokenizer, list[str]]:
    said: list[str] = []
    tokenizer = start_tokenizer(settings, said.append)
    assert isinstance(tokenizer, WordTokenizer)
    module = build_module(settings, width, tokenizer)
    load_weights(module, BEST, said.append)
    return module, tokenizer, said


def test_carried_words_are_the_checkpoints(other: Path) -> None:
    module, tokenizer, said = started(config(other))
    provenance, weights = read_checkpoint(BEST)
    assert tokenizer.state() == provenance.tokenizer
    assert all(torch.equal(values, weights[name]) for name, values in module.state_dict().items())
    assert len(said) == 2
    assert "fresh" not in said[1]


def test_extended_words_keep_the_old_ones_vectors_and_add_fresh_ones(other: Path) -> None:
    module, tokenizer, said = started(config(other, init_words="extended"))
    provenance, weights = read_checkpoint(BEST)
    old = provenance.tokenizer["vocabulary"]["ids"]
    assert old.items() < tokenizer.vocabulary.ids.items()
    assert set(tokenizer.vocabulary.ids) >= {"dogs", "bicycle"}
    assert f"{len(old):,}, and {len(tokenizer.vocabulary) - len(old):,} of the training captions" in said[1]
    grown = 0
    for name, values in module.state_dict().items():
        torch.testing.assert_close(
            values[: len(weights[name])] if values.ndim else values, weights[name], atol=0, rtol=0
        )
        grown += values.shape != weights[name].shape
    assert grown >= 1
    assert module.state_dict()["backbone.text_tower.embedding.weight"][len(old) :].abs().min() > 0
    before = tokenizer.encode(["dogs"]).tokens[1]
    assert before >= len(old)


def test_what_is_not_loaded_and_what_stays_fresh_is_listed(other: Path) -> None:
    settings = config(other)
    settings["loss"]["captioning"]["weight"] = 0.0
    _, _, said = started(settings)
    assert "of losses.captioning are not used" in said[1]


@pytest.mark.parametrize(
    ("change", "width", "message"),
    [
        ({}, 64, "reads regions 125 wide, those of the run are 64 wide"),
        ({"width": 16}, WIDTH, r"do not fit the model, backbone\.\S+ the first \(\(8, .*the run's are \(16, "),
        ({"name": "camera"}, WIDTH, "is of backbone=vsrn, the run of backbone=camera"),
    ],
)
def test_widths_and_networks_that_do_not_fit_are_one_line(
    change: dict[str, Any], width: int, message: str, other: Path
) -> None:
    settings = config(other)
    settings["backbone"] |= change
    with pytest.raises(UserError, match=message) as caught:
        started(settings, width)
    assert "\n" not in str(caught.value)


def test_words_are_extended_only_where_they_were_cut_alike(other: Path) -> None:
    settings = config(other, init_words="extended")
    settings["backbone"]["vocabulary"]["tokenizer"] = "unicode"
    with pytest.raises(UserError, match=r"cut by nltk_line.*vocabulary\.tokenizer=nltk_line"):
        started(settings)
    with pytest.raises(UserError, match="expected carried without init_from"):
        start_tokenizer(config(other, init_from=None, init_words="extended"), lambda line: None)


def test_exported_words_are_those_of_the_model_and_nothing_is_overwritten(
    tmp_path: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "words" / "v.json"
    assert export([str(RUN), "--vocabulary", str(path)]) == 0
    assert Vocabulary.load(path).to_dict() == read_checkpoint(BEST)[0].tokenizer["vocabulary"]
    settings = config(other, init_from=None)
    settings["backbone"]["vocabulary"]["file"] = str(path)
    assert start_tokenizer(settings, lambda line: None).state() == read_checkpoint(BEST)[0].tokenizer
    for words, message in (
        (["--vocabulary", str(path)], "exists already"),
        ([], "expected --to DIR, --vocabulary FILE"),
    ):
        assert export([str(RUN), *words]) == 2
        assert message in capsys.readouterr().err
    camera = str(RUN.with_name("camera"))
    assert export([camera, "--vocabulary", str(tmp_path / "c.json")]) == 2
    assert "words of its own" in capsys.readouterr().err


def test_a_model_is_evaluated_on_another_data_set(tmp_path: Path, other: Path) -> None:
    known = [word for word in read_checkpoint(BEST)[0].tokenizer["vocabulary"]["ids"] if word.isalpha()]
    lines = [" ".join(known[(3 * line + place) % len(known)] for place in range(4)) for line in range(40)]
    (other / "test_caps.txt").write_text("\n".join(lines) + "\n")
    record = evaluate_checkpoints([BEST], tmp_path, strategy=CPU, data={"root": str(other)})
    assert (record["images"], record["captions"]) == (8, 40)
    (other / "test_caps.txt").write_text("\n".join(f"ein Hund {line} läuft" for line in range(40)) + "\n")
    with pytest.raises(UserError, match="unknown to the vocabulary"):
        evaluate_checkpoints([BEST], tmp_path, strategy=CPU, data={"root": str(other)})
