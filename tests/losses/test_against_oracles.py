"""Every loss equals its slow float64 oracle, in value and in every gradient."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from selfalign.functional.normalize import l2_normalize
from selfalign.losses.captioning import captioning_loss, captioning_targets
from selfalign.losses.concept_alignment import ConceptAlignmentLoss
from selfalign.losses.context_alignment import context_alignment, context_contrast
from selfalign.losses.diversity import diversity_loss
from selfalign.losses.ranking import ranking_loss
from selfalign.structures import ContextEncoding
from tests.oracles import losses as oracle

SEEDS = range(3)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def assert_same(ours: Callable[..., Tensor], slow: Callable[..., Tensor], *inputs: Tensor) -> None:
    """Both functions give the same value and the same gradient of every input."""
    results = []
    for function in (ours, slow):
        leaves = [values.clone().requires_grad_() for values in inputs]
        value = function(*leaves)
        value.backward()
        results.append(
            [value.detach(), *(torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves)]
        )
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def mask_of(lengths: list[int], width: int) -> Tensor:
    return torch.arange(width) < torch.tensor(lengths)[:, None]


@pytest.mark.parametrize("seed", SEEDS)
def test_ranking(seed: int) -> None:
    assert_same(lambda s: ranking_loss(s, margin=0.2), lambda s: oracle.ranking(s, 0.2), random(7, 7, seed=seed))


def test_ranking_of_one_pair_is_zero() -> None:
    assert ranking_loss(random(1, 1)).item() == 0.0


def test_ranking_spares_captions_of_the_same_image_only_when_asked() -> None:
    similarity = torch.tensor([[0.5, 0.9, 0.0], [0.9, 0.5, 0.0], [0.0, 0.0, 0.5]], dtype=torch.float64)
    images = torch.tensor([4, 4, 7])
    assert ranking_loss(similarity).item() == pytest.approx(4 * 0.6)
    assert ranking_loss(similarity, image_ids=images).item() == 0.0


@pytest.mark.parametrize("counts", [None, [7, 2, 5]])
@pytest.mark.parametrize("seed", SEEDS)
def test_concept_alignment(seed: int, counts: list[int] | None) -> None:
    lengths = [3, 1, 4]
    real = None if counts is None else mask_of(counts, 7)
    loss = ConceptAlignmentLoss(5, prototypes=6).double()
    start = l2_normalize(random(6, 5, seed=seed + 10), dim=-1)

    def ours(regions: Tensor, words: Tensor, prototypes: Tensor) -> Tensor:
        del loss.prototypes
        loss.prototypes = prototypes
        unit = (l2_normalize(values, dim=-1) for values in (regions, words))
        return loss(*unit, mask_of(lengths, 4), region_mask=real)

    def slow(regions: Tensor, words: Tensor, prototypes: Tensor) -> Tensor:
        unit = [values / values.norm(dim=-1, keepdim=True) for values in (regions, words)]
        return oracle.concept(*unit, lengths, prototypes, 0.05, 0.1, counts)

    # The module re-normalises its parameter in place, which a plain leaf stands in for here.
    with pytest.MonkeyPatch.context() as patch:
        module = importlib.import_module("selfalign.losses.concept_alignment")  # the package has the function so called
        patch.setattr(module, "l2_normalize", lambda values, dim: values)
        assert_same(ours, slow, random(3, 7, 5, seed=seed), random(3, 4, 5, seed=seed + 20), start)


def test_concept_alignment_sends_no_gradient_to_regions() -> None:
    regions = l2_normalize(random(2, 3, 4), dim=-1).requires_grad_()
    words = l2_normalize(random(2, 5, 4, seed=1), dim=-1).requires_grad_()
    ConceptAlignmentLoss(4, prototypes=8).double()(regions, words, mask_of([5, 2], 5)).backward()
    assert regions.grad is None
    assert words.grad is not None
    assert words.grad.abs().sum() > 0


def test_concept_alignment_keeps_prototypes_on_the_sphere() -> None:
    loss = ConceptAlignmentLoss(4, prototypes=8)
    with torch.no_grad():
        loss.prototypes.mul_(3.0)
    loss(torch.randn(2, 3, 4), torch.randn(2, 5, 4), mask_of([5, 2], 5))
    torch.testing.assert_close(loss.prototypes.norm(dim=-1), torch.ones(8))


@pytest.mark.parametrize("negatives", [3, 512])
@pytest.mark.parametrize("seed", SEEDS)
def test_context_contrast(seed: int, negatives: int) -> None:
    lengths = [3, 1, 4, 2]
    assert_same(
        lambda queries, keys: context_contrast(queries, keys, mask_of(lengths, 4), negatives=negatives),
        lambda queries, keys: oracle.context_one_way(queries, keys, lengths, 0.7, negatives),
        random(4, 5, seed=seed),
        random(4, 4, 5, seed=seed + 1),
    )


def test_context_alignment_is_half_of_each_direction() -> None:
    def encoding(seed: int, count: int) -> ContextEncoding:
        rows = random(3, 5, seed=seed)
        return ContextEncoding(rows, random(3, count, 5, seed=seed + 1), rows, rows, None)

    image, caption = encoding(0, 6), encoding(7, 4)
    expected = 0.5 * oracle.context_one_way(image.summary, caption.locals, [4] * 3, 0.7, 512)
    expected = expected + 0.5 * oracle.context_one_way(caption.summary, image.locals, [6] * 3, 0.7, 512)
    torch.testing.assert_close(context_alignment(image, caption), expected, rtol=1e-10, atol=0)


def test_context_contrast_ignores_what_stands_in_padding() -> None:
    keys = random(3, 4, 5)
    changed = keys.clone()
    changed[1, 2:] = 50.0
    queries, lengths = random(3, 5, seed=1), [4, 2, 3]
    masked = [context_contrast(queries, values, mask_of(lengths, 4)) for values in (keys, changed)]
    unmasked = [context_contrast(queries, values, None) for values in (keys, changed)]
    assert masked[0] == masked[1]
    assert unmasked[0] != unmasked[1]  # negative control


def test_context_contrast_of_one_pair_is_zero_with_a_gradient() -> None:
    queries = random(1, 5).requires_grad_()
    loss = context_contrast(queries, random(1, 4, 5), None)
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(queries.grad, torch.zeros_like(queries))


@pytest.mark.parametrize("seed", SEEDS)
def test_diversity(seed: int) -> None:
    assert_same(diversity_loss, oracle.diversity, random(3, 6, 4, seed=seed))


def test_diversity_has_a_gradient_where_a_view_scores_nothing() -> None:
    scores = torch.zeros(1, 4, 2, requires_grad=True)
    diversity_loss(scores).backward()
    assert torch.isfinite(scores.grad).all()


@pytest.mark.parametrize("maximum", [4, 60])
@pytest.mark.parametrize("seed", SEEDS)
def test_captioning(seed: int, maximum: int) -> None:
    captions = [[1, 5, 6, 7, 2], [1, 4, 2], [1, 8, 9, 2]]
    lengths = torch.tensor([5, 3, 4])
    tokens = torch.zeros(3, 5, dtype=torch.long)
    for row, caption in enumerate(captions):
        tokens[row, : len(caption)] = torch.tensor(caption)
    targets, mask = captioning_targets(tokens, lengths, maximum)
    assert targets.shape[1] == min(6, maximum)  # the longest caption and one pad, not 60 steps
    assert_same(
        lambda logits: captioning_loss(logits[mask[:, 1:]], targets, mask),
        lambda logits: oracle.captioning(logits, captions, maximum),
        random(3, targets.shape[1] - 1, 10, seed=seed),
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_alignment_losses_stay_finite_in_half_precision(dtype: torch.dtype) -> None:
    regions, words = (l2_normalize(torch.randn(4, 6, 8), dim=-1).to(dtype) for _ in range(2))
    concept = ConceptAlignmentLoss(8, prototypes=16)
    with torch.autocast("cpu", dtype=dtype):
        assert torch.isfinite(concept(regions, words, mask_of([6, 2, 3, 1], 6)))
        assert torch.isfinite(context_contrast(regions[:, 0], words, None))
