"""Training on several data sets at once: every pair is its own set's, shares are kept, nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from selfalign.commands.readiness import inspect
from selfalign.data.dataset import PairDataset, Split, open_split
from selfalign.data.mixture import MixedBatches, MixedPairs, pairs_of_an_epoch
from selfalign.data.sampling import ShuffledBatches
from selfalign.data.text.captions import read_captions
from selfalign.data.text.tokenizers import WordTokenizer
from selfalign.data.text.vocabulary import Vocabulary
from selfalign.engine import training
from selfalign.engine.building import build_tokenizer
from selfalign.errors import UserError
from tests.conftest import write_scan_folder
from tests.engine.callbacks.test_resuming import settings


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """12 images of 4 regions, and 7 of 6 whose captions have words of their own."""
    first = write_scan_folder(tmp_path / "one", {"train": 12, "dev": 6, "test": 8})
    second = write_scan_folder(tmp_path / "two", {"train": 7}, regions=6)
    captions = second / "train_caps.txt"
    captions.write_text(captions.read_text().replace("number", "figure").replace("dogs", "horses"))
    rng = np.random.default_rng(5)
    np.save(second / "train_ims.npy", rng.standard_normal((7, 6, 10), np.float32))
    return [first, second]


def opened(folders: list[Path]) -> list[Split]:
    texts = [text for folder in folders for text in read_captions(folder / "train_caps.txt")]
    tokenizer = WordTokenizer(Vocabulary.build(texts, 1))
    return [open_split(folder, "train", tokenizer, boxes=True) for folder in folders]


def test_a_batch_holds_the_pairs_of_each_data_set_in_the_order_of_the_samples(folders: list[Path]) -> None:
    splits = opened(folders)
    mixed = MixedPairs(splits)
    samples = [61, 3, 94, 4, 60]
    batch = mixed.__getitems__(samples)
    assert batch.images.mask is not None
    assert batch.images.positions is not None
    for row, sample in enumerate(samples):
        number, caption = (1, sample - 60) if sample >= 60 else (0, sample)
        alone = PairDataset(splits[number]).__getitems__([caption])
        regions = alone.images.regions[0]
        torch.testing.assert_close(batch.images.regions[row, : len(regions)], regions)
        torch.testing.assert_close(batch.images.positions[row, : len(regions)], alone.images.positions[0])
        assert batch.images.mask[row].tolist() == [place < len(regions) for place in range(6)]
        length = int(alone.captions.lengths[0])
        assert batch.captions.tokens[row, :length].tolist() == alone.captions.tokens[0, :length].tolist()
        assert int(batch.captions.lengths[row]) == length
        assert int(batch.captions.ids[row]) == sample
        assert int(batch.images.ids[row]) == int(batch.captions.image_ids[row]) == caption // 5 + 12 * number


def test_images_of_two_data_sets_never_have_one_number(folders: list[Path]) -> None:
    batch = MixedPairs(opened(folders)).__getitems__(range(95))
    assert len(set(batch.images.ids.tolist())) == 19


def test_the_shares_of_processes_are_the_whole_batch(folders: list[Path]) -> None:
    splits = opened(folders)
    samples = [94, 0, 61, 33, 62, 7]
    whole = MixedPairs(splits).__getitems__(samples)
    parts = [MixedPairs(splits, rank, 2).__getitems__(samples) for rank in range(2)]
    assert torch.equal(torch.cat([part.captions.tokens for part in parts]), whole.captions.tokens)
    assert torch.equal(torch.cat([part.images.ids for part in parts]), whole.images.ids)
    assert {part.rows for part in parts} == {(3, 3)}


@pytest.mark.parametrize("shares", [[], [1, 1], [0.8, 0.2]])
def test_an_epoch_has_the_shares_and_gives_all_before_one_again(shares: list[float]) -> None:
    sizes = [60, 35]
    counts = pairs_of_an_epoch(sizes, shares)
    assert sum(counts) == 95
    assert counts == {0: [60, 35], 1: [48, 47], 0.8: [76, 19]}[shares[0] if shares else 0]
    batches = MixedBatches(sizes, counts, 10, seed=3, same=False)
    seen = np.zeros(95, int)
    for epoch in range(7):
        batches.set_epoch(epoch)
        samples = np.concatenate(list(batches))
        assert [int((samples < 60).sum()), int((samples >= 60).sum())] == pytest.approx(counts, abs=10)
        order = batches.order(epoch)
        assert [int((order < 60).sum()), int((order >= 60).sum())] == counts
        seen += np.bincount(order, minlength=95)
        for part in (seen[:60], seen[60:]):
            assert part.max() - part.min() <= 1
    assert not np.array_equal(batches.order(0), batches.order(1))
    assert np.array_equal(batches.order(1), MixedBatches(sizes, counts, 10, seed=3, same=False).order(1))


def test_one_data_set_is_shuffled_as_ever() -> None:
    first = next(iter(ShuffledBatches(40, 8, 1024)))
    assert first == np.random.default_rng((1024, 0)).permutation(40)[:8].tolist()


@pytest.mark.parametrize(("shares", "message"), [([1.0], "expected 2"), ([1.0, 0.0], "above 0")])
def test_shares_that_do_not_fit_are_named(shares: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pairs_of_an_epoch([3, 4], shares)


def test_a_run_trains_on_two_data_sets_and_is_tested_on_the_first(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = (f"data.further=[{folders[1]}]", "data.shares=[1,3]", "training.epochs=1")
    config = settings(folders[0], "vsrn", *more)
    words = build_tokenizer(config, lambda line: None).words("dogs horses")
    assert words == ["dogs", "horses"]
    assert build_tokenizer(config, lambda line: None).encode(["horses"]).tokens[1] > 3  # a word that is known
    record = training.train(config, tmp_path / "run", [])
    assert (record["images"], record["captions"]) == (8, 40)
    assert "an epoch has 24 + 71 pairs of 2 data sets" in capsys.readouterr().out


def test_data_sets_that_do_not_fit_each_other_are_one_line(folders: list[Path], tmp_path: Path) -> None:
    np.save(folders[1] / "train_ims.npy", np.ones((7, 6, 9), np.float32))
    config = settings(folders[0], "vsrn", f"data.further=[{folders[1]}]", "training.epochs=1")
    (folders[1] / "train_img_sizes.npy").unlink()
    about = {finding.about for finding in inspect(config, full=True, checksums=False).findings}
    assert {"two/train features", "two/train boxes"} <= about
    with pytest.raises(UserError, match=r"data\.further: features .* are 9 wide, those of .* 10"):
        training.train(config, tmp_path / "run", [])


def test_what_is_tested_on_is_not_trained_on_in_another_folder(folders: list[Path], tmp_path: Path) -> None:
    for kind in ("ims.npy", "boxes.npy", "img_sizes.npy", "caps.txt"):
        (folders[1] / f"train_{kind}").write_bytes((folders[0] / f"test_{kind}").read_bytes())
    config = settings(folders[0], "vsrn", f"data.further=[{folders[1]}]", "training.epochs=1")
    with pytest.raises(UserError, match="two/train"):
        training.train(config, tmp_path / "run", [])
