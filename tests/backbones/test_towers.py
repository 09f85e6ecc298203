"""Both networks: embeddings do not depend on their batch, and switches build what they say."""

from __future__ import annotations

import pytest
import torch

from selfalign.backbones.base import Padding, TwoTower
from selfalign.backbones.batch_norm import BatchNorm
from selfalign.backbones.bert import bert_settings, build_bert
from selfalign.backbones.camera import Camera
from selfalign.backbones.vsrn import Vsrn
from selfalign.structures import CaptionBatch, CaptionEmbedding, ImageBatch

WIDTH, REGION_WIDTH, VOCABULARY = 16, 10, 30
BERT = {
    "model_type": "bert",
    "vocab_size": VOCABULARY,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 40,
}


def build(name: str, padding: Padding = "masked", towers: str = "selfalign", context: bool = True) -> TwoTower:
    torch.manual_seed(0)
    shared = {"region_width": REGION_WIDTH, "width": WIDTH, "padding": padding, "towers": towers, "context": context}
    if name == "camera":
        network: TwoTower = Camera(bert=build_bert(BERT), heads=4, views=3, **shared)
    else:
        network = Vsrn(vocabulary_size=VOCABULARY, word_width=6, **shared)
    for module in network.modules():  # BatchNorm that starts as the identity or as zero would hide mistakes
        if isinstance(module, torch.nn.BatchNorm1d):
            for values in (module.weight, module.bias, module.running_mean):
                torch.nn.init.normal_(values)
    return network


def captions(lengths: list[int], width: int, seed: int = 0) -> CaptionBatch:
    random = torch.Generator().manual_seed(seed)
    tokens = torch.randint(1, VOCABULARY, (len(lengths), width), generator=random)
    real = torch.arange(width) < torch.tensor(lengths)[:, None]
    rows = torch.arange(len(lengths))
    return CaptionBatch(tokens.masked_fill(~real, 0), torch.tensor(lengths), rows, rows)


def images(count: int) -> ImageBatch:
    random = torch.Generator().manual_seed(1)
    return ImageBatch(
        torch.rand(count, 6, REGION_WIDTH, generator=random),
        torch.rand(count, 6, 6, generator=random),
        torch.arange(count),
    )


def alone_and_padded(network: TwoTower) -> tuple[CaptionEmbedding, CaptionEmbedding]:
    """The first caption's embedding by itself, and among longer ones."""
    network.eval()
    batch = captions([4, 9, 7], 9)
    alone = CaptionBatch(batch.tokens[:1, :4], batch.lengths[:1], batch.ids[:1], batch.image_ids[:1])
    with torch.no_grad():
        embeddings = [network.encode_captions(part).embedding for part in (alone, batch)]
    return embeddings[0], embeddings[1].map(lambda values: values[:1])


@pytest.mark.parametrize("name", ["camera", "vsrn"])
def test_a_caption_does_not_depend_on_its_neighbours(name: str) -> None:
    alone, padded = alone_and_padded(build(name))
    torch.testing.assert_close(alone.vector, padded.vector, rtol=0, atol=1e-6)
    torch.testing.assert_close(alone.context, padded.context, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["camera", "vsrn"])
def test_with_the_papers_padding_it_does(name: str) -> None:
    alone, padded = alone_and_padded(build(name, padding="paper"))
    assert (alone.context - padded.context).abs().max() > 1e-2


@pytest.mark.parametrize("name", ["camera", "vsrn"])
def test_training_on_padded_captions_ignores_what_stands_in_the_padding(name: str) -> None:
    gradients = []
    for filler in (0, 7):
        network = build(name).train()
        if name == "camera":
            network.text_tower.bert.eval()  # dropout would draw other numbers
        batch = captions([4, 9, 7], 12)
        tokens = torch.where(batch.mask, batch.tokens, filler)
        encoding = network.encode_captions(CaptionBatch(tokens, batch.lengths, batch.ids, batch.image_ids))
        (encoding.embedding.vector.sum() + encoding.embedding.context.sum()).backward()
        gradients.append([p.grad.clone() for p in network.text_tower.parameters() if p.grad is not None])
    for first, second in zip(*gradients, strict=True):
        if first.shape[0] == VOCABULARY:
            continue  # the padding's own row of the word table
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["camera", "vsrn"])
def test_an_image_does_not_depend_on_its_batch(name: str) -> None:
    network = build(name).eval()
    batch = images(4)
    with torch.no_grad():
        whole = network.encode_images(batch).embedding
        alone = network.encode_images(batch.map(lambda values: values[2:3])).embedding
    torch.testing.assert_close(alone.views, whole.views[2:3], rtol=0, atol=1e-6)
    torch.testing.assert_close(alone.context, whole.context[2:3], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["camera", "vsrn"])
def test_similarity_stays_within_its_range(name: str) -> None:
    network = build(name).eval()
    with torch.no_grad():
        similarity = network.similarity(
            network.encode_images(images(5)).embedding, network.encode_captions(captions([3, 5], 5)).embedding
        )
    assert similarity.shape == (5, 2)
    assert similarity.abs().max() <= 2


@pytest.mark.parametrize("name", ["camera", "vsrn"])
def test_the_original_towers_have_none_of_selfaligns_parameters(name: str) -> None:
    original = build(name, towers="original", context=False)
    names = set(original.state_dict())
    assert not any("context" in parameter for parameter in names)
    without_losses = set(build(name, context=False).state_dict())
    added = without_losses - names
    assert added == ({"text_tower.project.weight", "text_tower.project.bias"} if name == "vsrn" else set())
    assert original.encode_captions(captions([3], 3)).embedding.context is None


def test_the_original_vsrn_has_no_words_at_the_concept_level() -> None:
    assert build("vsrn", towers="original", context=False).encode_captions(captions([3], 3)).concepts is None


def test_a_context_head_needs_selfaligns_towers() -> None:
    with pytest.raises(ValueError, match="towers"):
        build("vsrn", towers="original", context=True)


def test_frozen_bert_gets_no_gradient_and_keeps_its_dropout_as_published() -> None:
    network = build("camera").train()
    assert network.text_tower.bert.training
    assert not any(parameter.requires_grad for parameter in network.text_tower.bert.parameters())
    network.text_tower.bert_dropout = False
    assert not network.train().text_tower.bert.training


def test_bert_is_rebuilt_from_its_settings() -> None:
    bert = build_bert(BERT)
    again = build_bert(bert_settings(bert))
    again.load_state_dict(bert.state_dict())
    tokens = torch.arange(10)[None]
    for model in (bert, again):
        model.eval()
    torch.testing.assert_close(again(tokens).last_hidden_state, bert(tokens).last_hidden_state)


@pytest.mark.parametrize("mode", [True, False])
def test_batch_norm_is_torchs_over_the_last_axis(mode: bool) -> None:
    torch.manual_seed(0)
    ours, plain = BatchNorm(5).train(mode), torch.nn.BatchNorm1d(5).train(mode)
    values = torch.randn(3, 4, 5)
    torch.testing.assert_close(ours(values), plain(values.flatten(0, 1)).view_as(values))
    torch.testing.assert_close(ours.running_var, plain.running_var)


def test_bert_encodes_short_and_long_captions_apart_as_together() -> None:
    tower = build("camera").eval().text_tower
    lengths = torch.randint(1, 10, (70,), generator=torch.Generator().manual_seed(3))
    batch = captions(lengths.tolist(), 12)
    with torch.no_grad():
        apart, together = tower.words(batch, only_real=True), tower.words(batch, only_real=False)
    torch.testing.assert_close(apart[batch.mask], together[batch.mask], rtol=0, atol=1e-6)
    assert not torch.equal(apart, together)  # they do take two ways
