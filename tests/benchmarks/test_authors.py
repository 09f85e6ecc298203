"""What the benchmark calls the authors' algorithms computes what ours does; otherwise its ratios mean nothing."""

from __future__ import annotations

import pytest
import torch

from selfalign.backbones.gated_attention import GatedSelfAttention
from selfalign.backbones.graph_reasoning import GraphReasoning
from selfalign.functional.masking import RealRows
from selfalign.functional.normalize import l2_normalize
from selfalign.functional.ranks import retrieval_ranks
from selfalign.functional.similarity import multi_view_similarity
from selfalign.losses.caption_decoder import RegionCaptioner
from selfalign.losses.captioning import captioning_loss, captioning_targets
from selfalign.losses.concept_alignment import ConceptAlignmentLoss
from selfalign.losses.context_alignment import context_contrast
from selfalign.losses.ranking import ranking_loss
from tests.benchmarks import authors

LENGTHS = torch.tensor([4, 2, 5])
MASK = torch.arange(5) < LENGTHS[:, None]


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    torch.manual_seed(0)


def unit(*shape: int) -> torch.Tensor:
    return l2_normalize(torch.randn(*shape, dtype=torch.float64), dim=-1)


def test_concept_alignment() -> None:
    loss = ConceptAlignmentLoss(8, prototypes=6).double()
    regions, words = unit(3, 7, 8), unit(3, 5, 8)
    ours = loss(regions, words, MASK)
    torch.testing.assert_close(ours, authors.concept_alignment(regions, words, LENGTHS.tolist(), loss.prototypes))


@pytest.mark.parametrize("negatives", [4, 512])
def test_context_alignment(negatives: int) -> None:
    queries, keys = unit(3, 8), unit(3, 5, 8)
    ours = context_contrast(queries, keys, MASK, negatives=negatives)
    torch.testing.assert_close(ours, authors.context_alignment(queries, keys, MASK, negatives=negatives))


def test_gated_attention() -> None:
    layer = GatedSelfAttention(8, heads=2, dropout=0.0).double()
    rows = RealRows(torch.Size((3, 5)), None)
    inputs, residual = unit(15, 8), unit(15, 8)
    ours = layer(inputs, residual, rows)
    torch.testing.assert_close(ours, authors.gated_attention(layer, inputs, residual, rows))


def test_graph_block() -> None:
    block = GraphReasoning(8).double()
    torch.nn.init.normal_(block.output_norm.weight)
    regions = unit(3, 7, 8)
    torch.testing.assert_close(block(regions), authors.graph_block(block, regions))


def test_captioning() -> None:
    captioner = RegionCaptioner(8, vocabulary_size=20, hidden=6, word_width=4).double().eval()
    graph, tokens = unit(3, 7, 8), torch.randint(3, 20, (3, 5))
    targets, mask = captioning_targets(tokens, LENGTHS)
    ours = captioning_loss(captioner.logits(graph, targets[:, :-1], mask[:, 1:]), targets, mask)
    padded = torch.nn.functional.pad(targets, (0, 61 - targets.shape[1]))
    counted = torch.nn.functional.pad(mask, (0, 61 - mask.shape[1]))
    torch.testing.assert_close(ours, authors.captioning(captioner, graph, padded, counted))


def test_ranking_similarity_and_ranks() -> None:
    views, captions = unit(4, 3, 8), unit(20, 8)
    similarity = multi_view_similarity(views, captions)
    torch.testing.assert_close(similarity, authors.multi_view_similarity(views, captions))
    torch.testing.assert_close(ranking_loss(similarity[:, :4]), authors.ranking(similarity[:, :4]))
    found = retrieval_ranks(lambda rows, columns: similarity[rows, columns], torch.arange(20) // 5, range(4), range(20))
    i2t, t2i = authors.retrieval_ranks(similarity.numpy())
    assert (found.i2t - 1).tolist() == i2t.tolist()
    assert (found.t2i - 1).tolist() == t2i.tolist()
