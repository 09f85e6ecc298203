"""Every option of a loss's module changes the loss as it says, and masks of both sides count."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from selfalign.functional.normalize import l2_normalize
from selfalign.functional.sinkhorn import sinkhorn
from selfalign.losses.concept_alignment import ConceptAlignmentLoss, concept_alignment
from selfalign.losses.context_alignment import ContextAlignmentLoss, context_alignment, context_contrast
from selfalign.losses.ranking import RankingLoss, ranking_loss
from selfalign.structures import ContextEncoding


def random(*shape: int, seed: int = 0) -> Tensor:
    return l2_normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def mask_of(lengths: list[int], width: int) -> Tensor:
    return torch.arange(width) < torch.tensor(lengths)[:, None]


def encoding(seed: int, count: int, mask: Tensor | None = None) -> ContextEncoding:
    return ContextEncoding(
        random(4, 6, seed=seed), random(4, count, 6, seed=seed + 1), random(4, 6), random(4, 6), mask
    )


@pytest.mark.parametrize(("epoch", "hardest"), [(0, False), (1, False), (2, True), (3, True)])
def test_the_hardest_negatives_alone_count_from_the_epoch_after_the_warm_up(epoch: int, hardest: bool) -> None:
    similarity, images = random(5, 5), torch.arange(5)
    found = RankingLoss(warm_up_epochs=2)(similarity, images, epoch)
    assert found == ranking_loss(similarity, hardest=hardest)
    assert ranking_loss(similarity, hardest=True) != ranking_loss(similarity, hardest=False)


@pytest.mark.parametrize("masked", [False, True])
def test_captions_of_the_same_image_are_spared_where_the_module_says_so(masked: bool) -> None:
    similarity, images = random(4, 4), torch.tensor([3, 3, 5, 5])
    found = RankingLoss(mask_same_image=masked, margin=0.4)(similarity, images, 0)
    assert found == ranking_loss(similarity, margin=0.4, image_ids=images if masked else None)
    assert ranking_loss(similarity, margin=0.4, image_ids=images) != ranking_loss(similarity, margin=0.4)


def test_each_side_of_context_alignment_has_its_own_mask() -> None:
    words, regions = mask_of([2, 5, 1, 3], 5), mask_of([4, 3, 1, 2], 4)
    image, caption = encoding(0, 4, regions), encoding(7, 5, words)
    expected = context_contrast(image.summary, caption.locals, words) / 2
    expected = expected + context_contrast(caption.summary, image.locals, regions) / 2
    torch.testing.assert_close(context_alignment(image, caption), expected)
    unmasked = context_alignment(encoding(0, 4, regions), encoding(7, 5))
    assert not torch.isclose(unmasked, expected)


@pytest.mark.parametrize(("temperature", "negatives"), [(0.7, 512), (0.2, 512), (0.7, 3)])
def test_temperature_and_negatives_reach_context_alignment(temperature: float, negatives: int) -> None:
    image, caption = encoding(0, 4), encoding(7, 5)
    found = ContextAlignmentLoss(temperature, negatives)(image, caption)
    assert found == context_alignment(image, caption, temperature=temperature, negatives=negatives)
    assert (found == ContextAlignmentLoss()(image, caption)) == ((temperature, negatives) == (0.7, 512))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_context_alignment_of_half_precision_is_computed_in_fp32(kind: torch.dtype) -> None:
    queries, keys = random(6, 8).to(kind), random(6, 5, 8, seed=1).to(kind)
    found = context_contrast(queries, keys, None)
    assert found.dtype == torch.float32
    assert found == context_contrast(queries.float(), keys.float(), None)


@pytest.mark.parametrize(("iterations", "temperature"), [(1, 0.05), (2, 0.05), (5, 0.05), (2, 0.5)])
def test_the_teacher_s_iterations_and_temperature_reach_its_assignments(iterations: int, temperature: float) -> None:
    torch.manual_seed(0)
    loss = ConceptAlignmentLoss(6, 8, teacher_temperature=temperature, iterations=iterations)
    regions, words, mask = random(3, 4, 6), random(3, 5, 6, seed=1), mask_of([5, 2, 3], 5)
    found = loss(regions, words, mask)
    assigned = sinkhorn(regions.flatten(0, 1) @ loss.prototypes.mT, temperature=temperature, iterations=iterations)
    torch.testing.assert_close(loss.assign(regions), assigned.view(3, 4, 8))
    expected = concept_alignment(words, mask, regions, assigned.view(3, 4, 8), loss.prototypes)
    torch.testing.assert_close(found, expected)
    other = sinkhorn(regions.flatten(0, 1) @ loss.prototypes.mT, temperature=temperature, iterations=iterations + 1)
    assert not torch.allclose(other, assigned)
