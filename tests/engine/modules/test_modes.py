"""Dropout and BatchNorm inside a run by the Trainer: what the settings say, wherever the weights come from."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from selfalign.data.text.tokenizers import WordPieceTokenizer
from selfalign.engine import training
from selfalign.engine.callbacks.collapse_warnings import CollapseWarnings
from selfalign.engine.callbacks.validate_every import ValidateEvery
from selfalign.engine.modules.retrieval import RetrievalModule
from selfalign.structures import PairBatch
from tests.conftest import CAPTIONS
from tests.engine.callbacks.test_resuming import CrashError, settings
from tests.engine.modules.test_training import built, trainer

Passes = dict[str, Callable[[RetrievalModule, PairBatch], Tensor]]
PASSES: Passes = {
    "image tower": lambda module, batch: module.backbone.encode_images(batch.images).embedding.views,
    "text tower": lambda module, batch: module.backbone.encode_captions(batch.captions).embedding.vector,
    "BERT": lambda module, batch: module.backbone.text_tower.words(batch.captions, only_real=True),
    "captioner": lambda module, batch: module.losses["captioning"].logits(
        module.backbone.encode_images(batch.images).graph.detach(), batch.captions.tokens, batch.captions.mask
    ),
}
"""Outputs in which dropout shows, by what has it."""


class TwoPasses(pl.Callback):
    """Before each training step: which parts give another output the second time, and which are in training mode."""

    def __init__(self) -> None:
        self.random: dict[int, set[str]] = {}
        self.training: dict[int, set[str]] = {}
        self.kept: dict[str, Tensor] = {}

    @torch.no_grad()
    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: RetrievalModule, batch: PairBatch, batch_idx: int
    ) -> None:
        step = trainer.global_step
        self.random[step] = set()
        buffers = {name: values.clone() for name, values in pl_module.named_buffers()}
        with torch.random.fork_rng(devices=[]):
            for name, encode in PASSES.items():
                if name == ("captioner" if hasattr(pl_module.backbone.text_tower, "bert") else "BERT"):
                    continue
                if not torch.equal(encode(pl_module, batch), encode(pl_module, batch)):
                    self.random[step].add(name)
        for name, values in pl_module.named_buffers():
            values.copy_(buffers[name])  # BatchNorm has seen two batches more
        self.training[step] = {name for name, part in pl_module.named_modules() if part.training}


def pretrained(folder: Path) -> str:
    """A tiny BERT with dropout, as the hub keeps them: model.safetensors, config.json, vocab.txt."""
    from transformers import BertConfig, BertModel

    tokenizer = WordPieceTokenizer.from_captions(list(CAPTIONS), 200, maximum_length=16)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.vocabulary_size,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        hidden_dropout_prob=0.4,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    vocabulary = json.loads(tokenizer.state()["backend"])["model"]["vocab"]
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)), encoding="utf-8")
    assert (folder / "model.safetensors").is_file()
    return str(folder)


ON_THE_SPOT = "+backbone.bert.scratch.hidden_dropout_prob=0.4"
STEPS = range(5)


def fitted(root: Path, backbone: str, *overrides: str) -> TwoPasses:
    """What is seen in an epoch of five steps, with a validation after the second and the fourth."""
    module, data = built(root, *overrides, backbone=backbone)
    watch = TwoPasses()
    trainer(root, ValidateEvery(2), watch, epochs=1).fit(module, data)
    return watch


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("dropout", [True, False])
@pytest.mark.parametrize("source", ["pretrained", "made on the spot"])
def test_bert_drops_out_as_the_setting_says(
    scan_folder: Path, tmp_path: Path, source: str, dropout: bool, frozen: bool
) -> None:
    """At every step: the first ones, and those after a validation."""
    where = f"backbone.bert.source={pretrained(tmp_path / 'bert')}" if source == "pretrained" else ON_THE_SPOT
    flags = (f"backbone.bert.dropout={str(dropout).lower()}", f"backbone.bert.frozen={str(frozen).lower()}")
    expected = {"BERT", "text tower"} if dropout else set()
    assert fitted(scan_folder, "camera", "loss=baseline", where, *flags).random == {step: expected for step in STEPS}


def test_every_part_trains_in_training_mode(scan_folder: Path) -> None:
    """BERT without dropout is the one exception."""
    watch = fitted(scan_folder, "camera", "backbone.bert.dropout=false", "backbone.dropout=0.3")
    assert watch.random == {step: {"image tower", "text tower"} for step in STEPS}
    for names in watch.training.values():
        assert "backbone.text_tower.norm" in names
        assert not any(name.startswith("backbone.text_tower.bert") for name in names)


@pytest.mark.parametrize(("dropout", "expected"), [(0.2, {"captioner"}), (0, set())])
def test_the_captioner_drops_out_as_its_setting_says(scan_folder: Path, dropout: float, expected: set[str]) -> None:
    watch = fitted(scan_folder, "vsrn", f"loss.captioning.dropout={dropout}")
    assert watch.random == {step: expected for step in STEPS}


def test_a_run_that_goes_on_drops_out_as_before(
    scan_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of train.py, stopped in its second epoch."""
    where = f"backbone.bert.source={pretrained(tmp_path / 'bert')}"
    config = settings(scan_folder, "camera", "loss=baseline", where, "training.epochs=2")

    def run(until: int | None) -> TwoPasses:
        watch = TwoPasses()

        def look(_: nn.Module, trainer: pl.Trainer, *others: object) -> None:
            if trainer.global_step == until:
                raise CrashError
            watch.on_train_batch_start(trainer, *others)

        with monkeypatch.context() as patch:
            patch.setattr(CollapseWarnings, "on_train_batch_start", look)
            with contextlib.suppress(CrashError):
                training.train(config, tmp_path / "run", [])
        return watch

    expected = {"BERT", "text tower"}
    assert run(8).random == {step: expected for step in range(8)}
    again = run(None).random
    assert again == {step: expected for step in range(min(again), 10)}
    assert 5 < min(again) <= 8
