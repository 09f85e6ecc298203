"""Images with different numbers of regions: padding changes nothing, for every backbone and pooling."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from selfalign.engine.modules.parts import build_network
from selfalign.losses.caption_decoder import RegionCaptioner
from selfalign.losses.diversity import diversity_loss
from selfalign.structures import ImageBatch, ImageEncoding
from tests.configs.test_composition import TINY, composed

COUNTS = [5, 1, 7, 4]
WIDTH = 10
POOLINGS = ("published", "mean", "max", "generalised", "attention")
CASES = [
    *(("camera", f"backbone.image_pooling={name}") for name in POOLINGS),
    *(("vsrn", f"backbone.image_pooling={name}") for name in POOLINGS),
    ("camera", "backbone.norm_axis=none"),
    ("vsrn", "backbone.norm_axis=features"),
    ("vsrn", "backbone.region_norm=true"),
    ("vsrn", "backbone.width=64"),  # a graph block has two ways of the same product
    ("camera", "backbone.concepts=linear"),
    ("vsrn", "backbone.concepts=linear"),
    ("linear", "backbone.width=6"),
]


def network(backbone: str, *overrides: str) -> Any:
    """Any weights but the start's, whose BatchNorms of weight 0 would leave the graph out."""
    torch.manual_seed(0)
    words = () if backbone == "linear" else TINY[backbone]
    config = composed(f"backbone={backbone}", "data.root=nowhere", "backbone.width=8", *words, *overrides)
    encoder = None
    if backbone == "camera":
        from selfalign.backbones.bert import build_bert

        encoder = build_bert(
            {"model_type": "bert", "vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
        )
    found = build_network(config, WIDTH, 20, encoder).double()
    with torch.no_grad():
        for parameter in found.image_tower.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, dtype=torch.float64))
    return found


def images(counts: list[int], regions: int) -> ImageBatch:
    random = torch.Generator().manual_seed(1)
    full = torch.randn(len(counts), max(counts), WIDTH, generator=random, dtype=torch.float64)
    places = torch.rand(len(counts), max(counts), 6, generator=random, dtype=torch.float64)
    mask = torch.arange(regions) < torch.tensor(counts)[:, None]
    padding = (0, 0, 0, regions - max(counts))
    full, places = (torch.nn.functional.pad(values, padding) * mask[..., None] for values in (full, places))
    return ImageBatch(full, places, torch.arange(len(counts)), mask)


def alone(batch: ImageBatch, row: int) -> ImageBatch:
    """One image without padding and without a mask."""
    count = int(batch.mask[row].sum())
    return ImageBatch(
        batch.regions[row : row + 1, :count], batch.positions[row : row + 1, :count], batch.ids[row : row + 1]
    )


def parts(encoding: ImageEncoding) -> dict[str, torch.Tensor]:
    found = {"views": encoding.embedding.views}
    if encoding.embedding.context is not None:
        found["context"] = encoding.embedding.context
    return found


@pytest.mark.parametrize(("backbone", "override"), CASES)
def test_an_embedding_does_not_depend_on_padding(backbone: str, override: str) -> None:
    made = network(backbone, override).eval()
    batch = images(COUNTS, 9)
    found = made.encode_images(batch)
    unmasked = parts(made.encode_images(replace(batch, mask=None)))
    differs = []
    for row, count in enumerate(COUNTS):
        single = made.encode_images(alone(batch, row))
        for name, value in parts(single).items():
            torch.testing.assert_close(parts(found)[name][row], value[0], rtol=0, atol=1e-6)
            differs.append(float((unmasked[name][row] - value[0]).abs().max()))
        torch.testing.assert_close(found.concepts[row, :count], single.concepts[0], rtol=0, atol=1e-6)
        assert not found.concepts[row, count:].any()
        if single.context is not None:
            torch.testing.assert_close(found.context.locals[row, :count], single.context.locals[0], rtol=0, atol=1e-6)
    assert max(differs) > 1e-3  # without the mask it does


@pytest.mark.parametrize(("backbone", "override"), [*CASES[:2], *CASES[5:7], CASES[-1]])
def test_training_takes_statistics_and_gradients_of_real_regions_only(backbone: str, override: str) -> None:
    """The same batch, padded to 7 and to 12: the same statistics and gradients; the padding's own gradient is zero."""
    gradients, statistics = [], []
    for regions in (7, 12):
        made = network(backbone, override).train()
        batch = images(COUNTS, regions)
        batch.regions.requires_grad_(True)
        encoding = made.encode_images(batch)
        value = encoding.embedding.views.sum(dim=(0, 1)).cos().sum() + encoding.concepts.sin().sum()
        if encoding.embedding.context is not None:
            value = value + encoding.embedding.context.sin().sum()
        value.backward()
        assert not batch.regions.grad[~batch.mask].any()
        assert batch.regions.grad[batch.mask].abs().sum() > 0
        gradients.append({n: p.grad for n, p in made.image_tower.named_parameters() if p.grad is not None})
        statistics.append(dict(made.image_tower.named_buffers()))
    assert gradients[0]
    for first, second in (gradients, statistics):
        for name, expected in first.items():
            torch.testing.assert_close(second[name], expected, rtol=1e-8, atol=1e-10, msg=name)


@pytest.mark.parametrize("backbone", ["camera", "vsrn", "linear"])
def test_a_mask_of_all_regions_changes_nothing(backbone: str) -> None:
    made = network(backbone).eval()
    batch = images([6, 6, 6], 6)
    for name, value in parts(made.encode_images(batch)).items():
        torch.testing.assert_close(parts(made.encode_images(replace(batch, mask=None)))[name], value, rtol=0, atol=1e-9)


def test_the_captioner_and_the_diversity_of_views_see_real_regions_only() -> None:
    torch.manual_seed(0)
    captioner = RegionCaptioner(6, vocabulary_size=9, hidden=5, word_width=4, dropout=0.0).double()
    mask = torch.arange(4) < torch.tensor([[4], [2]])
    graph = torch.randn(2, 4, 6, dtype=torch.float64) * mask[..., None]
    words = torch.tensor([[1, 5, 7], [1, 4, 8]])
    counted = torch.ones(1, 3, dtype=torch.bool)
    both = captioner.logits(graph, words, counted.expand(2, 3), mask)
    single = captioner.logits(graph[1:, :2], words[1:], counted)
    torch.testing.assert_close(both[3:], single, rtol=0, atol=1e-10)
    assert not torch.allclose(captioner.logits(graph, words, counted.expand(2, 3))[3:], single, atol=1e-3)
    weights = torch.randn(1, 2, 3, dtype=torch.float64)
    padded = torch.nn.functional.pad(weights, (0, 0, 0, 2))
    torch.testing.assert_close(diversity_loss(padded), diversity_loss(weights))
