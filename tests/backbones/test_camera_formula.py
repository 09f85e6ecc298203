"""CAMERA's image tower and gated attention, written again from METHOD section 3 with loops over samples and heads."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from selfalign.backbones.camera import CameraImageTower
from selfalign.backbones.gated_attention import GatedSelfAttention
from selfalign.functional.masking import RealRows
from selfalign.structures import ImageBatch

HEADS, WIDTH, REGIONS = 3, 12, 5


def linear(inputs: Tensor, layer: torch.nn.Linear) -> Tensor:
    return inputs @ layer.weight.mT + layer.bias


def slow_attention(module: GatedSelfAttention, inputs: Tensor, residual: Tensor) -> Tensor:
    """One sample, (n, D): gates of queries and keys from their product, softmax over keys, BatchNorm in evaluation."""
    found, width = [], WIDTH // HEADS
    for head in range(HEADS):
        part = slice(head * width, (head + 1) * width)
        query, key, value = (linear(inputs, one)[:, part] for one in (module.query, module.key, module.value))
        gates = torch.sigmoid(linear(linear(query, module.gate_query) * linear(key, module.gate_key), module.gate))
        query, key = query * gates[:, :width], key * gates[:, width:]
        rows = []
        for one in query:
            weights = torch.stack([torch.exp(one @ other / math.sqrt(width)) for other in key])
            rows.append((weights[:, None] * value).sum(dim=0) / weights.sum())
        found.append(torch.stack(rows))
    norm = module.norm
    attended = (torch.cat(found, dim=1) - norm.running_mean) / torch.sqrt(norm.running_var + norm.eps)
    return attended * norm.weight + norm.bias + residual


def over_regions(values: Tensor) -> Tensor:
    """Every feature of (n, D) at unit length over the regions."""
    return values / values.square().sum(dim=0, keepdim=True).sqrt()


def tower() -> CameraImageTower:
    torch.manual_seed(0)
    made = CameraImageTower(region_width=7, width=WIDTH, heads=HEADS, views=4, dropout=0.5, context=False).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    torch.nn.init.normal_(made.attention.norm.running_mean)
    torch.nn.init.uniform_(made.attention.norm.running_var, 0.5, 2)
    return made.eval()


def test_the_image_tower_is_that_of_the_method() -> None:
    made, random = tower(), torch.Generator().manual_seed(1)
    regions = torch.randn(3, REGIONS, 7, dtype=torch.float64, generator=random)
    positions = torch.rand(3, REGIONS, 6, dtype=torch.float64, generator=random)
    found = made(ImageBatch(regions=regions, positions=positions, ids=torch.arange(3)))
    for sample in range(3):
        mapped = over_regions(linear(regions[sample], made.project))
        placed = mapped / (1 + torch.exp(-linear(positions[sample], made.position)))
        reasoned = over_regions(slow_attention(made.attention, placed, mapped))
        features = torch.cat(
            [functional.relu(slow_convolution(reasoned, layer)) for layer in made.summary.convolutions], dim=1
        )
        scores = linear(features, made.summary.score)  # (n, V)
        weights = torch.exp(scores) / torch.exp(scores).sum(dim=0, keepdim=True)
        views = functional.normalize(weights.mT @ reasoned, dim=1)
        torch.testing.assert_close(found.embedding.views[sample], views)
        torch.testing.assert_close(found.region_weights[sample], scores)
        torch.testing.assert_close(found.concepts[sample], functional.normalize(mapped, dim=1))


def test_the_summary_looks_at_the_regions_as_published() -> None:
    shapes = [(one.out_channels, one.kernel_size[0], one.dilation[0]) for one in tower().summary.convolutions]
    assert shapes == [(256, 1, 1), *((128, size, dilation) for size in (3, 5) for dilation in (1, 2, 3))]


def slow_convolution(values: Tensor, layer: torch.nn.Conv1d) -> Tensor:
    """(n, D) → (n, C): zeros beyond the first and the last region."""
    middle, dilation = layer.kernel_size[0] // 2, layer.dilation[0]
    found = layer.bias.repeat(len(values), 1)
    for place in range(len(values)):
        for tap in range(layer.kernel_size[0]):
            other = place + (tap - middle) * dilation
            if 0 <= other < len(values):
                found[place] = found[place] + layer.weight[:, :, tap] @ values[other]
    return found


def test_dropout_comes_after_the_norm() -> None:
    """So that what is dropped out is no part of the statistics: of a row, whole features are the residual alone."""
    made = tower().attention.train()
    inputs = torch.randn(2 * REGIONS, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found = made(inputs, residual=inputs, rows=RealRows((2, REGIONS), None))
    assert 0.2 < float((found == inputs).double().mean()) < 0.8
