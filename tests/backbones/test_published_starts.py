"""What the papers start from, and what their towers are made of: each written out slowly from METHOD."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from selfalign.backbones.context_head import ContextHead, caption_context, image_context
from selfalign.backbones.graph_reasoning import GraphReasoning
from selfalign.backbones.vsrn import Vsrn, VsrnImageTower
from selfalign.functional.masking import RealRows
from selfalign.functional.normalize import l2_normalize
from selfalign.losses.caption_decoder import RegionCaptioner
from selfalign.structures import ContextEncoding, ImageBatch


def vsrn(**settings: object) -> Vsrn:
    torch.manual_seed(0)
    return Vsrn(region_width=30, vocabulary_size=400, width=20, word_width=50, **settings)  # type: ignore[arg-type]


def test_a_graph_block_starts_as_the_identity_and_does_not_stay_it() -> None:
    block = GraphReasoning(8)
    regions = torch.randn(3, 5, 8)
    assert torch.equal(block(regions), regions)
    assert torch.equal(block.eval()(regions), regions)
    block.train()
    target = torch.randn(3, 5, 8)
    (block(regions) - target).square().sum().backward()
    assert block.output_norm.weight.grad is not None
    assert block.output_norm.weight.grad.abs().sum() > 0


def test_the_word_table_starts_between_minus_and_plus_a_tenth() -> None:
    table = vsrn().text_tower.embedding.weight
    assert table.abs().max() <= 0.1
    assert table.abs().max() > 0.099
    assert table.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=0.02)


@pytest.mark.parametrize("towers", ["selfalign", "original"])
def test_first_projections_start_as_xavier_uniform_with_bias_zero(towers: str) -> None:
    network = vsrn(towers=towers, context=towers == "selfalign")
    maps = [network.image_tower.project, network.text_tower.project]
    assert (maps[1] is None) == (towers == "original")
    for linear in filter(None, maps):
        limit = math.sqrt(6 / sum(linear.weight.shape))
        assert linear.weight.abs().max() <= limit
        assert linear.weight.abs().max() > 0.98 * limit
        assert linear.weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.06)
        assert not linear.bias.any()


def test_the_captioner_s_output_starts_as_xavier_normal() -> None:
    torch.manual_seed(0)
    output = RegionCaptioner(8, vocabulary_size=300, hidden=40, word_width=6).output
    expected = math.sqrt(2 / (300 + 40))
    assert output.weight.std().item() == pytest.approx(expected, rel=0.03)
    assert output.weight.abs().max() > 3 * expected  # a uniform start has no tails


def head(width: int = 6) -> ContextHead:
    torch.manual_seed(1)
    made = ContextHead(width).double().eval()
    for values in made.parameters():
        torch.nn.init.normal_(values)
    for norm in (made.summary_norm, made.local_norm):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2.0)
    return made


def normed(norm: torch.nn.Module, values: Tensor) -> Tensor:
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return torch.relu((values - norm.running_mean) * scale + norm.bias)


def unit(values: Tensor) -> Tensor:
    return values / values.norm(dim=-1, keepdim=True)


def test_the_context_head_is_that_of_the_method() -> None:
    made, values = head(), torch.randn(3, 4, 6, dtype=torch.float64)
    mean = values.mean(dim=1)
    summary = normed(made.summary_norm, mean @ made.project.weight.T + made.project.bias)
    first, second = made.gate[0], made.gate[2]
    hidden = torch.relu(torch.cat([mean, summary], dim=1) @ first.weight.T + first.bias)
    gate = torch.sigmoid(hidden @ second.weight.T + second.bias)
    found = made(values.flatten(0, 1), RealRows(values.shape[:2], None))
    torch.testing.assert_close(found.summary, unit(summary))
    torch.testing.assert_close(found.locals, unit(normed(made.local_norm, values)))
    torch.testing.assert_close(found.fused, unit(gate * mean + (1 - gate) * summary))
    torch.testing.assert_close(found.mean_local, unit(normed(made.local_norm, values)).mean(dim=1))


@pytest.mark.parametrize("fused_first", [False, True])
def test_the_context_part_of_the_similarity_is_half_of_both_products(fused_first: bool) -> None:
    def encoding(seed: int) -> ContextEncoding:
        values = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(seed))
        return ContextEncoding(values[0], values[None], unit(values[0]), values[1], None)

    image, caption = encoding(0), encoding(1)
    expected = 0.5 * (image.fused @ caption.mean_local.T + image.mean_local @ caption.fused.T)
    parts = image_context(image, fused_first=fused_first), caption_context(caption, fused_first=fused_first)
    assert parts[0] is not None
    assert parts[1] is not None
    torch.testing.assert_close(parts[0] @ parts[1].T, expected)


@pytest.mark.parametrize("region_norm", [False, True])
def test_vsrn_s_image_tower_norms_over_regions_where_published(region_norm: bool) -> None:
    torch.manual_seed(2)
    settings = {"region_width": 5, "width": 6, "final_norm": False, "context": False}
    tower = VsrnImageTower(region_norm=region_norm, **settings).double().eval()  # type: ignore[arg-type]
    regions = torch.randn(3, 4, 5, dtype=torch.float64)
    projected = regions @ tower.project.weight.T + tower.project.bias
    if region_norm:
        projected = projected / projected.norm(dim=1, keepdim=True)
    graph = projected / projected.norm(dim=1, keepdim=True)  # graph blocks start as the identity
    found = tower(ImageBatch(regions, None, torch.arange(3)))
    torch.testing.assert_close(found.graph, graph)
    torch.testing.assert_close(found.embedding.views[:, 0], unit(tower.rnn(graph)[1][0]))
    torch.testing.assert_close(found.concepts, unit(projected))
    torch.testing.assert_close(l2_normalize(projected, dim=1), graph)
