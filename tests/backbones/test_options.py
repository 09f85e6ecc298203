"""What the towers can do beside the published settings: each option does what it says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from selfalign.backbones.base import TwoTower
from selfalign.backbones.bert import build_bert
from selfalign.backbones.camera import Camera
from selfalign.backbones.concept_heads import WordConvolution
from selfalign.backbones.linear import LinearTwoTower
from selfalign.backbones.pooling.generalised import GeneralisedPooling
from selfalign.backbones.pooling.maximum import MaxPooling
from selfalign.backbones.pooling.mean import MeanPooling
from selfalign.backbones.text_encoders import neighbours
from selfalign.backbones.vsrn import Vsrn
from selfalign.functional.masking import RealRows
from selfalign.structures import CaptionBatch
from tests.backbones.test_towers import BERT, REGION_WIDTH, VOCABULARY, WIDTH, captions, images

OURS: dict[str, dict[str, Any]] = {
    "camera": {"norm_axis": "none", "zero_start": True},
    "vsrn": {"norm_axis": "none", "shortcut": True},
}


def camera(**settings: Any) -> Camera:
    torch.manual_seed(0)
    return Camera(region_width=REGION_WIDTH, bert=build_bert(BERT), width=WIDTH, heads=4, views=3, **settings)


def vsrn(**settings: Any) -> Vsrn:
    torch.manual_seed(0)
    return Vsrn(region_width=REGION_WIDTH, vocabulary_size=VOCABULARY, word_width=6, width=WIDTH, **settings)


def ours(name: str, concepts: str = "convolution") -> TwoTower:
    poolings = {"image_pooling": MeanPooling(), "text_pooling": MeanPooling()}
    build = camera if name == "camera" else vsrn
    return build(**poolings, **OURS[name], concepts=concepts, context=False)


def linear(bert: bool) -> LinearTwoTower:
    torch.manual_seed(0)
    return LinearTwoTower(
        region_width=REGION_WIDTH, vocabulary_size=VOCABULARY, width=WIDTH, bert=build_bert(BERT) if bert else None
    )


NETWORKS = {
    "camera": lambda: ours("camera"),
    "camera, linear heads": lambda: ours("camera", "linear"),
    "vsrn": lambda: ours("vsrn"),
    "vsrn, linear heads": lambda: ours("vsrn", "linear"),
    "generalised": lambda: vsrn(image_pooling=GeneralisedPooling(), text_pooling=MaxPooling(), context=False),
    "linear": lambda: linear(bert=False),
    "linear, BERT": lambda: linear(bert=True),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_caption_and_its_words_do_not_depend_on_their_neighbours(name: str) -> None:
    network = NETWORKS[name]().eval()
    batch = captions([4, 9, 7], 9)
    alone = CaptionBatch(batch.tokens[:1, :4], batch.lengths[:1], batch.ids[:1], batch.image_ids[:1])
    with torch.no_grad():
        one, many = (network.encode_captions(part) for part in (alone, batch))
    torch.testing.assert_close(one.embedding.vector, many.embedding.vector[:1], rtol=0, atol=1e-6)
    torch.testing.assert_close(one.concepts, many.concepts[:1, :4], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_embeddings_have_one_view_of_unit_length(name: str) -> None:
    network = NETWORKS[name]().eval()
    with torch.no_grad():
        image, caption = network.encode_images(images(3)), network.encode_captions(captions([3, 5], 5))
        similarity = network.similarity(image.embedding, caption.embedding)
    assert image.embedding.views.shape == (3, 1, WIDTH)
    assert image.concepts.shape == (3, 6, WIDTH)
    for unit in (image.embedding.views, image.concepts, caption.embedding.vector):
        torch.testing.assert_close(unit.norm(dim=-1), torch.ones(unit.shape[:-1]))
    assert similarity.shape == (3, 2)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_trained_parameter_has_a_gradient(name: str) -> None:
    network = NETWORKS[name]().train()
    image, caption = network.encode_images(images(3)), network.encode_captions(captions([3, 5, 4], 5))
    network.similarity(image.embedding, caption.embedding).sum().backward(retain_graph=True)
    (image.concepts.mean(dim=1) @ caption.concepts.mean(dim=1).mT).sum().backward()
    idle = [name for name, values in network.named_parameters() if values.requires_grad and values.grad is None]
    assert not idle


def test_zero_start_makes_residual_branches_start_as_their_residuals() -> None:
    for zero_start in (True, False):
        tower = camera(zero_start=zero_start, norm_axis="none", image_pooling=MeanPooling(), context=False)
        batch = images(3)
        regions = tower.image_tower.project(batch.regions)
        expected = nn.functional.normalize(regions.mean(dim=1), dim=-1)
        with torch.no_grad():
            found = tower.train().encode_images(batch).embedding.views[:, 0]
        assert torch.allclose(found, expected, atol=1e-6) == zero_start


@pytest.mark.parametrize(("axis", "dim"), [("regions", 1), ("features", -1)])
def test_the_norm_axis_is_the_axis_of_unit_length(axis: str, dim: int) -> None:
    tower = vsrn(norm_axis=axis).eval()
    lengths = tower.encode_images(images(3)).graph.norm(dim=dim)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))
    plain = vsrn(norm_axis="none").eval().encode_images(images(3)).graph.norm(dim=dim)
    assert not torch.allclose(plain, torch.ones_like(plain))


def test_a_shortcut_adds_the_projected_words_to_their_states() -> None:
    with_it, without = (
        vsrn(text_pooling=MeanPooling(), shortcut=shortcut, context=False).eval() for shortcut in (True, False)
    )
    batch = captions([5, 5], 5)
    tower = with_it.text_tower
    words = tower.project(tower.embedding(batch.tokens))
    expected = nn.functional.normalize((words + tower.rnn(words)[0]).mean(dim=1), dim=-1)
    torch.testing.assert_close(with_it.encode_captions(batch).embedding.vector, expected)
    assert not torch.allclose(without.encode_captions(batch).embedding.vector, expected)


def test_a_window_lets_a_word_of_bert_see_its_neighbours_only() -> None:
    for window, sees in ((1, False), (None, True)):
        tower = camera(bert_window=window, context=False).eval().text_tower  # BERT has one layer
        batch = captions([9], 9)
        changed = batch.tokens.clone()
        changed[0, 6] = 1 + changed[0, 6] % (VOCABULARY - 1)
        with torch.no_grad():
            before, after = (
                tower.words(CaptionBatch(tokens, batch.lengths, batch.ids, batch.image_ids), only_real=True)[0]
                for tokens in (batch.tokens, changed)
            )
        moved = (before - after).abs().amax(dim=-1) > 1e-6
        assert moved[5:8].all()
        assert moved[:5].any() == sees


def test_neighbours_are_real_words_within_the_window() -> None:
    seen = neighbours(torch.tensor([[True, True, True, False]]), 1, torch.float32)[0, 0] == 0
    assert seen.tolist() == [
        [True, True, False, False],
        [True, True, True, False],
        [False, True, True, False],
        [False, False, True, False],
    ]


def test_a_convolution_sees_one_neighbour_on_each_side_and_nothing_of_other_captions() -> None:
    torch.manual_seed(0)
    head, rows = (
        WordConvolution(3, 4),
        RealRows(torch.Size((2, 5)), torch.tensor([[True] * 5, [True] * 2 + [False] * 3])),
    )
    words = torch.randn(7, 3)
    changed = words.clone()
    changed[3] += 1.0
    moved = (head(words, rows) - head(changed, rows)).abs().amax(dim=-1) > 1e-6
    assert moved.tolist() == [False, False, True, True, True, False, False]


def test_a_linear_network_with_bert_trains_nothing_of_it_and_keeps_its_dropout_off() -> None:
    network = linear(bert=True).train()
    assert not network.text_tower.bert.training
    assert all("bert" not in name for name, values in network.named_parameters() if values.requires_grad)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"norm_axis": "words"}, "norm_axis: expected one of regions, features, none"),
        ({"concepts": "own"}, "concepts: expected one of shared, linear, convolution"),
        ({"bert_window": 0}, "window: expected at least 1 neighbour"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        camera(**settings)


def test_a_shortcut_without_a_pooling_is_refused() -> None:
    with pytest.raises(ValueError, match="shortcut: expected a text pooling"):
        vsrn(shortcut=True)
