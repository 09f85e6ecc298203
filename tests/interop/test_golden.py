"""Agreement with the authors' own code: losses of four training steps, parameters, embeddings, ranks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nltk
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from selfalign.backbones.base import Padding
from selfalign.backbones.bert import build_bert
from selfalign.backbones.camera import Camera
from selfalign.backbones.vsrn import Vsrn
from selfalign.data.dataset import Split, open_split
from selfalign.data.text.captions import read_captions
from selfalign.data.text.tokenizers import CaptionTokenizer, WordPieceTokenizer, WordTokenizer
from selfalign.engine.modules.optimisation import Optimisation
from selfalign.engine.modules.parts import build_losses
from selfalign.engine.modules.schedules import StepDecay
from selfalign.engine.modules.two_tower import TwoTowerModule
from selfalign.functional.ranks import embedding_tile
from selfalign.interop.original_checkpoint import OriginalCheckpoint, read_original_checkpoint
from selfalign.interop.original_vocabulary import read_original_vocabulary
from selfalign.interop.parameter_names import rename_captioner
from selfalign.metrics.protocols import evaluate
from selfalign.processes.exchange import ALONE, Shares
from selfalign.structures import CaptionEmbedding, ImageEmbedding

CASES = ("cam_base", "cam_sa", "vsrn_base", "vsrn_base_coco", "vsrn_sa", "vsrn_sa_coco")
TERMS = {
    "ranking": ("Rank", "Le_retrieval"),
    "diversity": ("Div",),
    "concept": ("Local", "Le_local"),
    "context": ("ctx_loss",),
    "captioning": ("Le_caption",),
}


@dataclass
class Golden:
    folder: Path
    module: TwoTowerModule
    start: OriginalCheckpoint
    trained: OriginalCheckpoint
    train: Split
    test: Split
    expected: dict[str, Any]
    tensors: dict[str, torch.Tensor]


def build(start: OriginalCheckpoint, folder: Path, padding: Padding) -> tuple[TwoTowerModule, CaptionTokenizer]:
    settings = start.backbone_settings()
    camera = settings.pop("name") == "camera"
    shared: dict[str, Any] = {
        **settings,
        "region_width": start.region_width,
        "padding": padding,
        "towers": "selfalign" if start.selfalign else "original",
        "context": start.selfalign,
    }
    weight = float(start.selfalign)
    loss: dict[str, Any] = {"ranking": {"weight": 1.0}, "context": {"weight": weight}}
    loss["concept"] = {"weight": weight, "prototypes": 40}
    tokenizer: CaptionTokenizer
    if camera:
        tokenizer = WordPieceTokenizer.from_pretrained(str(folder / "bert"))
        bert = json.loads((folder / "bert" / "config.json").read_text())
        network: Any = Camera(bert=build_bert(bert), **shared)
        loss["diversity"] = {"weight": 0.01}
    else:
        tokenizer = WordTokenizer(read_original_vocabulary(next((folder / "vocab").glob("*.pkl"))))
        network = Vsrn(vocabulary_size=tokenizer.vocabulary_size, **shared)
        loss["captioning"] = {"weight": 1.0, "hidden": 24, "word_width": 20, "dropout": 0.0}
    losses = build_losses(loss, network.width, tokenizer.vocabulary_size)
    return TwoTowerModule(
        network, losses, Optimisation(1e-3, StepDecay(10), prototype_freeze_epochs=int(camera))
    ), tokenizer


def load(case: str, shared: Path, monkeypatch: pytest.MonkeyPatch, padding: Padding = "paper") -> Golden:
    monkeypatch.setattr("nltk.data.path", [str(shared / "data" / "nltk_data")])
    folder = shared / "golden" / case
    start = read_original_checkpoint(folder / "init.pth.tar")
    module, tokenizer = build(start, folder, padding)
    weights = dict(start.weights)
    if (folder / "init_captioner.safetensors").is_file():
        captioner = rename_captioner(load_file(folder / "init_captioner.safetensors"))
        weights |= {f"losses.captioning.{name}": values for name, values in captioner.items()}
    module.load_state_dict(weights)
    camera = start.backbone == "camera"
    splits = [
        open_split(folder / "data", name, tokenizer, boxes=camera, pad_to=32 if camera and padding == "paper" else None)
        for name in ("train", "test")
    ]
    return Golden(
        folder,
        module,
        start,
        read_original_checkpoint(folder / "trained.pth.tar"),
        *splits,
        json.loads((folder / "expected.json").read_text()),
        load_file(folder / "expected.safetensors"),
    )


def without_effect(name: str) -> bool:
    """Biases right before a BatchNorm: their gradient is rounding noise, which Adam blows up to its full step."""
    return name.endswith(("attention.value.bias", ".output.bias", "context.project.bias", "contract.bias"))


@pytest.mark.parametrize("case", CASES)
def test_four_training_steps(case: str, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = load(case, shared, monkeypatch)
    module = golden.module.train()
    listed = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if golden.start.backbone == "vsrn":
        listed += list(module.losses["captioning"].parameters())  # the authors' list holds them twice
    with (
        pytest.warns(UserWarning, match="duplicate")
        if golden.start.backbone == "vsrn"
        else pytest.MonkeyPatch.context()
    ):
        optimizer = torch.optim.Adam(listed, lr=1e-3)
    for step in golden.expected["steps"]:
        batch = golden.train.pair_batch(np.array(step["indices"]))
        images, captions = module.backbone.encode_images(batch.images), module.backbone.encode_captions(batch.captions)
        terms = module.loss_terms(batch, images, captions, Shares(ALONE, (len(step["indices"]),)))
        for name, value in terms.items():
            expected = next(step["losses"][theirs] for theirs in TERMS[name] if theirs in step["losses"])
            assert value.item() == pytest.approx(expected, rel=1e-4), name
        optimizer.zero_grad()
        sum(module.loss_weights[name] * value for name, value in terms.items()).backward()
        torch.nn.utils.clip_grad_norm_(listed, 2.0)
        if "concept" in module.losses and step["epoch"] < module.optimisation.prototype_freeze_epochs:
            module.losses["concept"].prototypes.grad = None
        optimizer.step()
    found, trained = module.state_dict(), golden.trained.weights
    decided = [name for name in trained if not without_effect(name) and name in dict(module.named_parameters())]
    errors = torch.cat([(found[name] - trained[name]).abs().flatten() for name in decided])
    moves = torch.cat([(golden.start.weights[name] - trained[name]).abs().flatten() for name in decided])
    # Adam turns a gradient of rounding noise into a full step, so a few single elements may differ.
    assert (errors <= 1e-4).float().mean() > 0.999
    assert (moves > 1e-4).float().mean() > 0.2  # negative control: training moved them further than that


def encode(golden: Golden, batch_size: int) -> tuple[ImageEmbedding, CaptionEmbedding]:
    module, test = golden.module.eval(), golden.test
    module.load_state_dict(golden.trained.weights, strict=False)
    with torch.no_grad():
        image = module.backbone.encode_images(test.image_batch(np.arange(test.images))).embedding
        parts = [
            module.backbone.encode_captions(test.caption_batch(rows)).embedding
            for rows in np.split(np.arange(len(test.captions)), range(batch_size, len(test.captions), batch_size))
        ]
    contexts = [part.context for part in parts if part.context is not None]
    return image, CaptionEmbedding(
        torch.cat([part.vector for part in parts]), torch.cat(contexts) if contexts else None
    )


@pytest.mark.parametrize("case", CASES)
def test_similarity_ranks_and_recalls(case: str, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = load(case, shared, monkeypatch)
    image, caption = encode(golden, golden.expected["eval_batch_size"])
    tile = embedding_tile(image, caption)
    torch.testing.assert_close(tile(slice(None), slice(None)), golden.tensors["similarity"], rtol=0, atol=1e-5)
    result = evaluate(tile, torch.arange(len(caption.vector)) // 5, len(image.views))
    for side in ("i2t", "t2i"):
        found, expected = getattr(result, side), golden.expected[side]
        for ours, theirs in (
            ("r1", "r1"),
            ("r5", "r5"),
            ("r10", "r10"),
            ("median_rank", "medr"),
            ("mean_rank", "meanr"),
        ):
            assert getattr(found, ours) == pytest.approx(expected[theirs], abs=1e-9), (side, ours)


@pytest.mark.parametrize("case", CASES)
def test_masked_padding_gives_embeddings_that_do_not_change_with_the_batch(
    case: str, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = load(case, shared, monkeypatch, padding="masked")
    _, alone = encode(golden, 1)
    _, together = encode(golden, 32)
    torch.testing.assert_close(alone.vector, together.vector, rtol=0, atol=1e-5)
    if alone.context is not None:
        torch.testing.assert_close(alone.context, together.context, rtol=0, atol=1e-5)


def test_the_authors_vocabularies_load_with_their_ids(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nltk.data.path", [str(shared / "data" / "nltk_data")])
    vocabulary = read_original_vocabulary(shared / "data" / "vocab" / "f30k_precomp_vocab.pkl")
    assert len(vocabulary) == 8481
    coco = read_original_vocabulary(shared / "data" / "vocab" / "coco_precomp_vocab.pkl")
    assert coco.ids["<unk>"] == 3
    captions = read_captions(shared / "data" / "f30k_caps" / "test_caps.txt")
    encoded = WordTokenizer(vocabulary).encode(captions)
    assert len(captions) == 5000
    for row, caption in enumerate(captions):
        words = ["<start>", *nltk.tokenize.word_tokenize(caption.lower()), "<end>"]
        expected = [vocabulary.ids.get(word, 3) for word in words]
        assert encoded.tokens[encoded.offsets[row] : encoded.offsets[row + 1]].tolist() == expected
