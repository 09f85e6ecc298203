"""What is computed once and kept is what would be computed again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from selfalign.data.regions.disk_array import DiskArray
from selfalign.data.text import kept_text
from selfalign.data.text.captions import TokenizedCaptions, read_captions
from selfalign.data.text.kept_text import kept_tokens, kept_vocabulary
from selfalign.data.text.tokenizers import WordTokenizer
from selfalign.data.text.vocabulary import Vocabulary
from selfalign.data.text.word_features import WordFeatures, write_word_features
from selfalign.engine.callbacks.keep_word_features import KeepWordFeatures
from selfalign.errors import UserError
from tests.engine.modules.test_training import built, trainer


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of kept texts; the smallest captions file is worth keeping."""
    monkeypatch.setenv("SELFALIGN_CACHE", str(tmp_path / "kept"))
    monkeypatch.setattr(kept_text, "_WORTH_KEEPING", 1)
    return tmp_path / "kept"


def same(first: TokenizedCaptions, second: TokenizedCaptions) -> bool:
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in ("tokens", "words", "offsets"))


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("computed again")


def test_tokens_and_vocabulary_are_computed_once(
    kept: Path, scan_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captions = read_captions(scan_folder / "train_caps.txt")
    vocabulary = kept_vocabulary(captions, minimum_count=1)
    first = kept_tokens(WordTokenizer(vocabulary), captions)
    assert vocabulary.ids == Vocabulary.build(captions, minimum_count=1).ids
    assert same(first, WordTokenizer(vocabulary).encode(captions))
    monkeypatch.setattr(Vocabulary, "build", refuse)
    monkeypatch.setattr(WordTokenizer, "encode", refuse)
    again = kept_vocabulary(captions, minimum_count=1)
    assert again.ids == vocabulary.ids
    assert same(first, kept_tokens(WordTokenizer(again), captions))


def test_other_captions_or_settings_are_never_taken_for_the_kept_ones(kept: Path, scan_folder: Path) -> None:
    captions = read_captions(scan_folder / "train_caps.txt")
    small, large = kept_vocabulary(captions, minimum_count=40), kept_vocabulary(captions, minimum_count=1)
    assert len(small) < len(large)
    one, other = (kept_tokens(WordTokenizer(vocabulary), captions) for vocabulary in (small, large))
    assert not np.array_equal(one.tokens, other.tokens)
    changed = [captions[1], captions[0], *captions[2:]]
    assert not same(other, kept_tokens(WordTokenizer(large), changed))


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"{"])
def test_a_damaged_kept_file_is_computed_again(kept: Path, scan_folder: Path, damage: bytes) -> None:
    captions = read_captions(scan_folder / "train_caps.txt")
    tokenizer = WordTokenizer(kept_vocabulary(captions, minimum_count=1))
    first = kept_tokens(tokenizer, captions)
    for path in kept.iterdir():
        path.write_bytes(damage)
    assert len(kept_vocabulary(captions, minimum_count=1)) == tokenizer.vocabulary_size
    assert same(first, kept_tokens(tokenizer, captions))


def test_a_folder_that_cannot_be_written_costs_time_only(kept: Path, scan_folder: Path) -> None:
    kept.write_text("in the way")
    captions = read_captions(scan_folder / "train_caps.txt")
    assert len(kept_vocabulary(captions, minimum_count=1)) > 4


def test_word_features_are_those_of_the_encoder_whatever_its_batches(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    lists = [list(random.integers(1, 50, length)) for length in random.integers(1, 9, 300)]
    captions = TokenizedCaptions.pack(lists, [[0] * len(tokens) for tokens in lists], 0)
    table = random.standard_normal((50, 6)).astype(np.float16)
    write_word_features(tmp_path / "w.npy", captions, 6, lambda tokens, lengths: table[tokens])
    found = WordFeatures(tmp_path / "w.npy", captions).rows(np.array([7, 299, 7, 0]), 9)
    for row, caption in enumerate((7, 299, 7, 0)):
        length = len(lists[caption])
        np.testing.assert_array_equal(found[row, :length], table[lists[caption]])
        assert not found[row, length:].any()


def test_word_features_that_do_not_fit_float16_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    captions = TokenizedCaptions.pack([[1, 2]], [[0, 0]], 0)
    with pytest.raises(UserError, match="float16"):
        write_word_features(tmp_path / "w.npy", captions, 2, lambda tokens, _: np.full((*tokens.shape, 2), 1e6))
    assert not list(tmp_path.iterdir())


def test_a_tower_sees_the_same_words_from_bert_and_from_its_kept_outputs(scan_folder: Path, tmp_path: Path) -> None:
    module, data = built(scan_folder, "backbone.bert.frozen=true", "backbone.bert.dropout=false")
    trainer(tmp_path, KeepWordFeatures(module.backbone.text_tower.bert, data, tmp_path / "kept")).fit(module, data)
    module.eval()
    for loader in (data.train_dataloader(), data.val_dataloader()[1]):
        batch = next(iter(loader))
        captions = getattr(batch, "captions", batch)
        assert captions.words is not None
        kept = module.backbone.encode_captions(captions).embedding.vector
        computed = module.backbone.encode_captions(replace(captions, words=None)).embedding.vector
        torch.testing.assert_close(kept, computed, rtol=0, atol=2e-3)  # unit vectors from float16 on disk
        assert not torch.equal(kept, computed)


def test_kept_bert_outputs_are_used(scan_folder: Path, tmp_path: Path) -> None:
    module, data = built(scan_folder, "backbone.bert.frozen=true", "backbone.bert.dropout=false")
    bert = module.backbone.text_tower.bert
    for stage in ("fit", "test"):
        getattr(trainer(tmp_path, KeepWordFeatures(bert, data, tmp_path / "kept"), epochs=1), stage)(module, data)
    assert all(data.split(role).words is not None for role in ("train", "val", "test"))
    bert.forward = refuse
    for stage in ("fit", "test"):
        getattr(trainer(tmp_path, KeepWordFeatures(bert, data, tmp_path / "kept"), epochs=1), stage)(module, data)


def test_other_weights_or_captions_have_outputs_of_their_own(scan_folder: Path, tmp_path: Path) -> None:
    """Kept outputs are found by what they follow from, not by names or dates."""
    module, data = built(scan_folder, "backbone.bert.frozen=true", "backbone.bert.dropout=false")
    bert, folder = module.backbone.text_tower.bert, tmp_path / "kept"

    def files() -> set[str]:
        trainer(tmp_path, KeepWordFeatures(bert, data, folder), epochs=1).test(module, data, verbose=False)
        return {path.name for path in folder.glob("*.npy")}

    first = files()
    assert files() == first
    with torch.no_grad():
        bert.embeddings.word_embeddings.weight[7, 0] += 1
    second = files()
    assert len(second) == 2
    (scan_folder / "test_caps.txt").write_text((scan_folder / "test_caps.txt").read_text().replace("red", "blue"))
    _, data = built(scan_folder, "backbone.bert.frozen=true", "backbone.bert.dropout=false")
    assert len(files()) == 3


def test_resident_features_give_the_same_training(scan_folder: Path, tmp_path: Path) -> None:
    np.save(scan_folder / "train_ims.npy", np.load(scan_folder / "train_ims.npy").astype(np.float16))
    weights = []
    for resident in ("false", "true"):
        module, data = built(scan_folder, f"data.resident={resident}")
        trainer(tmp_path, epochs=1).fit(module, data)
        weights.append(module.state_dict())
    for name, value in weights[0].items():
        assert torch.equal(weights[1][name], value), name


def test_resident_features_are_not_read_from_disk_any_more(scan_folder: Path) -> None:
    _, data = built(scan_folder, "data.resident=true")
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch.images.regions.shape == (0, 4, 10)
    filled = data.on_after_batch_transfer(batch, 0)
    expected = np.load(scan_folder / "train_ims.npy")[batch.images.ids.numpy()]
    np.testing.assert_array_equal(filled.images.regions.numpy(), expected)


def test_a_file_that_is_cut_while_in_use_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x_ims.npy"
    np.save(path, np.ones((8, 4, 10), np.float32))
    array = DiskArray(path, 3, "features")
    array.rows(np.array([7, 0]))
    with path.open("r+b") as file:
        file.truncate(700)
    np.testing.assert_array_equal(array.rows(np.array([2])), np.ones((1, 4, 10)))
    with pytest.raises(UserError, match=r"x_ims.npy: row 6 is gone; the file was cut while in use"):
        array.rows(np.array([0, 6]))
    with pytest.raises(IndexError):
        array.rows(np.array([-1]))
