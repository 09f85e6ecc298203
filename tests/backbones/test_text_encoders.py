"""Text encoders of the BERT family, each with its own tokenizer: loaded, read right, trained or frozen, rebuilt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from tokenizers import models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModel, CLIPConfig, CLIPModel

from selfalign.backbones.bert import bert_settings, build_bert, load_bert
from selfalign.backbones.camera import Camera
from selfalign.backbones.linear import LinearTwoTower
from selfalign.backbones.text_encoders import attention_mask, encoded_words, positions, require_tokens
from selfalign.data.text.tokenizers import WordPieceTokenizer, tokenizer_from_state
from selfalign.engine.building import build_module, rebuild_module
from selfalign.engine.modules.optimisation import parameter_groups
from selfalign.errors import UserError
from selfalign.runs.checkpoint import Provenance
from selfalign.structures import CaptionBatch
from tests.configs.test_composition import composed

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SIZES |= {"max_position_embeddings": 24}
WORDS = ["a", "dog", "runs", "over", "the", "grass"]
PLACES = {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
ENCODERS: dict[str, dict[str, Any]] = {
    "bert": SIZES,
    "roberta": SIZES | {"type_vocab_size": 1, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 24},
    "mpnet": SIZES | {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
    "albert": SIZES | {"embedding_size": 8, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3},
    "modernbert": SIZES | PLACES | {"local_attention": 4, "global_attn_every_n_layers": 2, "num_hidden_layers": 3},
    "clip": SIZES,
}
TOKENS = {
    "bert": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
    "distilbert": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
    "modernbert": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
    "roberta": ["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
    "mpnet": ["<s>", "<pad>", "</s>", "<unk>", "[PAD]"],  # the second pad, of BERT's vocabulary, is an ordinary token
    "albert": ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"],
    "clip": ["<|startoftext|>", "<|endoftext|>", "!", "?", "."],
}
FRAMES = {"roberta": ("<s>", "</s>"), "mpnet": ("<s>", "</s>"), "clip": ("<|startoftext|>", "<|endoftext|>")}
PADS = {"roberta": "<pad>", "mpnet": "<pad>", "albert": "<pad>", "clip": "<|endoftext|>"}
UNKNOWNS = {"roberta": "<unk>", "mpnet": "<unk>", "albert": "<unk>", "clip": "<|endoftext|>"}
CAPTIONS = ["a dog runs over the grass", "the dog", "a grass runs"]


def write_tokenizer(folder: Path, kind: str) -> None:
    ids = {token: number for number, token in enumerate([*TOKENS[kind], *WORDS])}
    backend = tokenizers.Tokenizer(models.WordLevel(ids, unk_token=UNKNOWNS.get(kind, "[UNK]")))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    first, last = FRAMES.get(kind, ("[CLS]", "[SEP]"))
    backend.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=[(first, ids[first]), (last, ids[last])]
    )
    backend.save(str(folder / "tokenizer.json"))
    named = {"pad_token": PADS.get(kind, "[PAD]"), "unk_token": UNKNOWNS.get(kind, "[UNK]")}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **named}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


@pytest.fixture(scope="module", params=ENCODERS)
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a tiny model with random weights, its settings and its own tokenizer."""
    kind = request.param
    folder = tmp_path_factory.mktemp(kind)
    size = len(TOKENS[kind]) + len(WORDS)
    torch.manual_seed(0)
    settings = ENCODERS[kind] | {"vocab_size": size}
    model: Any
    if kind == "clip":
        vision = SIZES | {"image_size": 8, "patch_size": 4}
        model = CLIPModel(CLIPConfig(text_config=settings, vision_config=vision, projection_dim=8))
    else:
        model = AutoModel.from_config(AutoConfig.for_model(kind, **settings))
    model.save_pretrained(folder)
    write_tokenizer(folder, kind)
    return folder


def kind_of(source: Path) -> str:
    return str(json.loads((source / "config.json").read_text())["model_type"])


def batch_of(tokenizer: WordPieceTokenizer, captions: list[str]) -> CaptionBatch:
    rows = torch.arange(len(captions))
    tokens, lengths = (torch.from_numpy(values) for values in tokenizer.encode(captions).rows(rows.numpy()))
    return CaptionBatch(tokens=tokens, lengths=lengths, ids=rows, image_ids=rows)


def camera(source: Path, **settings: Any) -> Camera:
    torch.manual_seed(0)
    return Camera(region_width=4, bert=load_bert(str(source)), width=8, heads=2, views=2, context=False, **settings)


def test_words_do_not_depend_on_padding_and_special_tokens_are_the_models_own(source: Path) -> None:
    tokenizer = WordPieceTokenizer.from_pretrained(str(source), maximum_length=9)
    kind = kind_of(source)
    assert tokenizer.pad_id == TOKENS[kind].index(PADS.get(kind, "[PAD]"))
    assert tokenizer.encode(["zebra"]).tokens[1] == tokenizer.unknown_id
    again = tokenizer_from_state(json.loads(json.dumps(tokenizer.state())))
    assert isinstance(again, WordPieceTokenizer)
    assert (again.pad_id, again.unknown_id) == (tokenizer.pad_id, tokenizer.unknown_id)
    assert tokenizer.encode([CAPTIONS[1]]).words.tolist() == [-1, 0, 1, -1]
    encoder = load_bert(str(source)).eval()
    require_tokens(encoder.config, tokenizer.vocabulary_size, tokenizer.pad_id, 9)
    batch = batch_of(tokenizer, CAPTIONS)
    words = encoded_words(encoder, batch.tokens, batch.mask.long())
    for row, caption in enumerate(CAPTIONS):
        alone = batch_of(tokenizer, [caption])
        expected = encoded_words(encoder, alone.tokens, alone.mask.long())[0]
        torch.testing.assert_close(words[row, : len(expected)], expected, atol=1e-5, rtol=1e-5)
    rebuilt = build_bert(json.loads(json.dumps(bert_settings(encoder)))).eval()
    rebuilt.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(encoded_words(rebuilt, batch.tokens, batch.mask.long()), words, atol=0, rtol=0)


@pytest.mark.parametrize("captions", [CAPTIONS, CAPTIONS[:1]], ids=["padded", "all real"])
def test_a_mask_that_asks_no_gpu_is_the_same_to_the_last_bit(source: Path, captions: list[str]) -> None:
    batch = batch_of(WordPieceTokenizer.from_pretrained(str(source), maximum_length=9), captions)
    encoder = load_bert(str(source)).train()
    found = []
    for seen in (batch.mask.long(), attention_mask(encoder, batch.mask, batch.counts)):
        torch.manual_seed(0)
        words = encoded_words(encoder, batch.tokens, seen)
        encoder.zero_grad()
        words[batch.mask].sin().sum().backward()
        found.append([words[batch.mask], *(values.grad for values in encoder.parameters() if values.grad is not None)])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
    asked = attention_mask(encoder, batch.mask, batch.counts)
    assert (asked is None or asked.dim() == 4) == (kind_of(source) not in ("modernbert", "clip"))


def test_the_longest_caption_that_a_model_takes_is_known(source: Path) -> None:
    encoder = load_bert(str(source)).eval()
    most = positions(encoder.config)
    assert most == (22 if kind_of(source) in ("roberta", "mpnet") else 24)
    tokens = torch.full((1, most), 5)
    encoded_words(encoder, tokens, torch.ones_like(tokens))
    with pytest.raises(ValueError, match=f"at most {most}"):
        require_tokens(encoder.config, 5, encoder.config.pad_token_id or 0, most + 1)
    with pytest.raises(ValueError, match="different models"):
        require_tokens(encoder.config, 100, 0, 9)


def test_a_caption_tower_trains_and_is_rebuilt_from_its_record(source: Path) -> None:
    settings = (
        "data=f30k",
        "backbone=camera",
        "loss=baseline",
        f"backbone.bert.source={source}",
        "backbone.bert.frozen=false",
    )
    tiny = ("backbone.width=8", "backbone.heads=2", "backbone.views=2", "optimizer.bert_rate=0.1", "data.root=x")
    config = composed(*settings, *tiny, "backbone.bert.maximum_length=9")
    tokenizer = WordPieceTokenizer.from_pretrained(str(source), maximum_length=9)
    module = build_module(config, 4, tokenizer)
    groups = parameter_groups(module, module.optimisation)
    assert sorted({group["lr"] for group in groups}) == pytest.approx([1e-5, 1e-4])
    batch = batch_of(tokenizer, CAPTIONS)
    caption = module.backbone.encode_captions(batch).embedding
    caption.vector.square().sum().add(caption.vector[:, 0].sum()).backward()
    without = [n for n, v in module.backbone.text_tower.bert.named_parameters() if v.grad is None]
    assert not without  # no part of it is dead: several processes would wait for its gradient
    provenance = Provenance(config, 4, tokenizer.state(), module.provenance["bert"])
    again, words = rebuild_module(provenance)
    again.load_state_dict(module.state_dict())
    assert words.state() == tokenizer.state()
    found = [one.eval().backbone.encode_captions(batch).embedding.vector for one in (module, again)]
    torch.testing.assert_close(*found, atol=0, rtol=0)


def test_a_window_limits_what_a_word_sees_or_is_refused_in_one_line(source: Path) -> None:
    if kind_of(source) == "clip":
        with pytest.raises(ValueError, match=r"bert\.window: clip_text_model has none"):
            camera(source, bert_window=1)
        return
    tower = camera(source, bert_window=1).text_tower.eval()
    tokens = torch.randint(5, 11, (1, 10))
    other = tokens.clone()
    other[0, 9] = 5 + (int(tokens[0, 9]) - 4) % 6
    mask = torch.ones(1, 10, dtype=torch.bool)
    reach = len(encoded_hidden(tower, tokens))
    counts = mask.sum(dim=1)
    near, far = (tower._encoded(values, mask, counts) for values in (tokens, other))
    changed = (near - far).abs().amax(-1)[0] > 1e-7
    assert changed[9]
    assert not changed[: 9 - reach].any()
    everything = camera(source).text_tower.eval()
    seen = (everything._encoded(tokens, mask, counts) - everything._encoded(other, mask, counts)).abs().amax(-1)[
        0
    ] > 1e-7
    assert seen[: 9 - reach].any()  # without a window it is


def encoded_hidden(tower: Any, tokens: torch.Tensor) -> Any:
    return tower.bert(input_ids=tokens, output_hidden_states=True).hidden_states[1:]


def test_a_window_wider_than_a_models_own_is_refused(tmp_path: Path) -> None:
    settings = ENCODERS["modernbert"] | {"model_type": "modernbert", "vocab_size": 11}
    with pytest.raises(ValueError, match="at most 2, which is modernbert's own"):
        Camera(region_width=4, bert=build_bert(settings), width=8, heads=2, views=2, context=False, bert_window=3)


def test_the_concept_level_takes_the_words_of_any_layer(source: Path) -> None:
    tokenizer = WordPieceTokenizer.from_pretrained(str(source), maximum_length=9)
    batch = batch_of(tokenizer, CAPTIONS)
    last = camera(source).eval().encode_captions(batch)
    layers = load_bert(str(source)).config.num_hidden_layers
    for layer in range(layers + 1):
        found = camera(source, bert_concept_layer=layer).eval().encode_captions(batch)
        torch.testing.assert_close(found.embedding.vector, last.embedding.vector, atol=1e-6, rtol=1e-6)
        same = torch.allclose(found.concepts[batch.mask], last.concepts[batch.mask], atol=1e-6)
        assert same == (layer == layers)
        linear = LinearTwoTower(
            region_width=4, width=8, vocabulary_size=0, bert=load_bert(str(source)), bert_concept_layer=layer
        )
        assert linear.eval().encode_captions(batch).concepts.shape == (*batch.tokens.shape, 8)
    before = camera(source, concepts="convolution").eval().encode_captions(batch)
    assert before.concepts.shape == (*batch.tokens.shape, 8)
    with pytest.raises(ValueError, match="concepts=convolution"):
        camera(source, concepts="convolution", bert_concept_layer=0)
    with pytest.raises(ValueError, match=rf"bert\.concept_layer: expected 0 .* to {layers}"):
        camera(source, bert_concept_layer=layers + 1)


def test_gradient_checkpointing_changes_memory_and_not_gradients(source: Path) -> None:
    tokenizer = WordPieceTokenizer.from_pretrained(str(source), maximum_length=9)
    batch = batch_of(tokenizer, CAPTIONS)
    if kind_of(source) in ("mpnet", "albert"):
        with pytest.raises(ValueError, match=r"bert\.gradient_checkpointing: \w+ has none"):
            camera(source, bert_frozen=False, bert_gradient_checkpointing=True)
        return
    gradients = []
    for again in (False, True):
        model = camera(source, bert_frozen=False, bert_gradient_checkpointing=again, bert_concept_layer=1).train()
        for part in model.text_tower.bert.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = 0.0
        torch.manual_seed(1)
        found = model.encode_captions(batch)
        (found.embedding.vector[:, 0].sum() + found.concepts[..., 0].sum()).backward()
        gradients.append([values.grad for values in model.text_tower.bert.parameters() if values.grad is not None])
    assert len(gradients[0]) == len(gradients[1])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="frozen=false dropout=true"):
        camera(source, bert_frozen=True, bert_gradient_checkpointing=True)


def test_older_weight_files_load_whole(source: Path, tmp_path: Path) -> None:
    expected = load_bert(str(source)).state_dict()
    kind = kind_of(source)
    prefix = {"clip": "text_model.", "modernbert": "model."}.get(kind, f"{kind}.")
    weights = {f"{prefix}{name}": values for name, values in expected.items()}
    weights |= {"lm_head.bias": torch.ones(3), "vision_model.x": torch.ones(2)}
    torch.save(weights, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text((source / "config.json").read_text())
    found = load_bert(str(tmp_path)).state_dict()
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, atol=0, rtol=0)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    settings = ENCODERS["roberta"] | {"vocab_size": 11}
    AutoModel.from_config(AutoConfig.for_model("roberta", **settings)).save_pretrained(tmp_path / "model")
    write_tokenizer(tmp_path / "model", "bert")
    tokenizer = WordPieceTokenizer.from_pretrained(str(tmp_path / "model"), maximum_length=9)
    names = (f"backbone.bert.source={tmp_path / 'model'}", "backbone.bert.maximum_length=9", "data.root=x")
    config = composed("backbone=linear_bert", "backbone.width=8", *names)
    with pytest.raises(UserError, match=r"backbone\.bert\.source: .*token 0.*token 1") as caught:
        build_module(config, 4, tokenizer)
    assert "\n" not in str(caught.value)
