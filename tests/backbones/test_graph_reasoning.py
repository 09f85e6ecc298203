"""The graph block is the published one, whichever way its products are taken."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from selfalign.backbones.graph_reasoning import GraphReasoning


def published(block: GraphReasoning, regions: Tensor) -> Tensor:
    """Of each image for itself, with 1×1 convolutions (METHOD section 2), before the residual."""
    updates = []
    for image in regions:
        channels = image.T[None]  # (1, D, R)
        message, query, key = (
            functional.conv1d(channels, layer.weight[..., None], layer.bias)[0]
            for layer in (block.message, block.query, block.key)
        )
        affinity = query.T @ key / len(image)  # (R, R)
        received = (affinity @ message.T).T[None]
        updates.append(functional.conv1d(received, block.output.weight[..., None], block.output.bias)[0].T)
    return block.output_norm(torch.stack(updates))


@pytest.mark.parametrize(("batch", "way"), [(2, "_plain"), (7, "_merged")])
def test_both_ways_are_the_published_block(batch: int, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 3 regions and a width of 9 they are taken for batches up to 3 and above."""
    torch.manual_seed(0)
    block = GraphReasoning(9).double().requires_grad_(True)  # the output's bias too, which is not trained
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    taken = []
    for name in ("_plain", "_merged"):
        function = getattr(block, name)
        spy = lambda *given, name=name, run=function: taken.append(name) or run(*given)  # noqa: E731
        monkeypatch.setattr(block, name, spy)
    regions = torch.randn(batch, 3, 9, dtype=torch.float64, requires_grad=True)
    target = torch.randn(batch, 3, 9, dtype=torch.float64)
    leaves = [regions, *block.parameters()]
    ours, expected = block(regions), published(block, regions) + regions
    assert taken == [way]
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)
    gradients = torch.autograd.grad((ours * target).sum(), leaves)
    for found, wanted in zip(gradients, torch.autograd.grad((expected * target).sum(), leaves), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
