"""Batches of a data set: pairs belong together, nothing is missed, selection never sees the test split."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from selfalign.data.datamodule import RetrievalDataModule
from selfalign.data.text.captions import read_captions
from selfalign.data.text.tokenizers import WordTokenizer
from selfalign.data.text.vocabulary import Vocabulary
from selfalign.errors import UserError
from selfalign.functional.overlap import box_overlaps


def data(root: Path, **settings: Any) -> RetrievalDataModule:
    tokenizer = WordTokenizer(Vocabulary.build(read_captions(root / "train_caps.txt"), 1))
    return RetrievalDataModule(root, tokenizer, **{"batch_size": 7, "boxes": True, "seed": 0} | settings)


def test_every_pair_comes_once_an_epoch_with_its_own_image(scan_folder: Path) -> None:
    module = data(scan_folder)
    features = np.load(scan_folder / "train_ims.npy")
    seen = []
    for batch in module.train_dataloader():
        assert torch.equal(batch.images.ids, batch.captions.ids // 5)
        np.testing.assert_array_equal(batch.images.regions.numpy(), features[batch.images.ids.numpy()])
        seen += batch.captions.ids.tolist()
    assert sorted(seen) == list(range(60))
    assert seen != sorted(seen)


def test_the_order_is_the_seeds(scan_folder: Path) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        loader = data(scan_folder, seed=seed).train_dataloader()
        loader.batch_sampler.set_epoch(epoch)
        return [index for batch in loader for index in batch.captions.ids.tolist()]

    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(seed, epoch)) for seed, epoch in ((1, 0), (1, 1), (2, 0), (2, 1))}) == 4


def test_a_last_batch_of_one_pair_is_dropped_and_no_other(scan_folder: Path) -> None:
    assert [len(batch.images.ids) for batch in data(scan_folder, batch_size=59).train_dataloader()] == [59]
    assert [len(batch.images.ids) for batch in data(scan_folder, batch_size=29).train_dataloader()] == [29, 29, 2]


def test_evaluation_sees_each_image_once_in_order_and_each_caption_once_by_length(scan_folder: Path) -> None:
    images, captions = data(scan_folder).test_dataloader()
    assert [index for batch in images for index in batch.ids.tolist()] == list(range(8))
    assert sorted(index for batch in captions for index in batch.ids.tolist()) == list(range(40))
    lengths = [length for batch in captions for length in batch.lengths.tolist()]
    assert lengths == sorted(lengths)
    assert len(set(lengths)) > 1


def test_validation_is_limited_to_the_first_captions(scan_folder: Path) -> None:
    images, captions = data(scan_folder, validation_captions=15).val_dataloader()
    assert (len(images.dataset), len(captions.dataset)) == (3, 15)


def test_worker_processes_read_the_same_batches(scan_folder: Path) -> None:
    for plain, worked in zip(
        data(scan_folder).test_dataloader()[0], data(scan_folder, workers=1).test_dataloader()[0], strict=True
    ):
        assert torch.equal(plain.regions, worked.regions)


def test_what_travels_to_a_worker_holds_no_features(scan_folder: Path) -> None:
    np.save(scan_folder / "train_ims.npy", np.ones((12, 4, 50_000), np.float32))
    dataset = data(scan_folder).train_dataloader().dataset
    dataset[0]
    assert len(pickle.dumps(dataset)) < 100_000


@pytest.mark.parametrize("names", [("train", "test", "test"), ("train", "dev", "dev"), ("test", "dev", "test")])
def test_selection_on_the_test_split_is_refused(scan_folder: Path, names: tuple[str, str, str]) -> None:
    settings = dict(zip(("train_split", "val_split", "test_split"), names, strict=True))
    with pytest.raises(UserError, match="three splits"):
        data(scan_folder, **settings)


def test_overlap_is_intersection_over_union() -> None:
    box = np.array([[0, 0, 10, 10]], np.float32)
    others = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], np.float32)
    found = box_overlaps(torch.from_numpy(box), torch.from_numpy(others))
    np.testing.assert_allclose(found, [[1, 1 / 3, 0]])


@pytest.mark.parametrize("done", [0, 3, 9])
def test_a_run_that_goes_on_gets_the_batches_that_are_left_and_then_whole_epochs(done: int, scan_folder: Path) -> None:
    def batches(loader: Any) -> list[list[int]]:
        return [batch.captions.ids.tolist() for batch in loader]

    whole = data(scan_folder).train_dataloader()
    whole.batch_sampler.set_epoch(2)
    module = data(scan_folder)
    module.load_state_dict({"epoch": 2, "batches": done})
    rest = module.train_dataloader()
    rest.batch_sampler.set_epoch(2)  # as Lightning does before every epoch
    assert batches(rest) == batches(whole)[done:]
    assert len(rest) == len(whole)
    for loader in (rest, whole):
        loader.batch_sampler.set_epoch(3)
    assert batches(rest) == batches(whole)


def test_a_region_is_right_for_a_word_from_half_an_overlap_on(scan_folder: Path) -> None:
    boxes = np.load(scan_folder / "test_boxes.npy")
    boxes[0] = [[0, 0, 10, 10], [0, 0, 10, 20], [0, 0, 10, 21], [50, 50, 60, 60]]  # of the true box: 1, 1/2, 10/21, 0
    np.save(scan_folder / "test_boxes.npy", boxes)
    np.save(scan_folder / "test_alignments.npy", np.array([[0, 2, 0, 0, 10, 10]], np.float64))
    batch = next(iter(data(scan_folder).test_dataloader()[2]))
    assert batch.correct.tolist() == [[True, True, False, False]]


def test_annotated_captions_come_with_their_own_image(scan_folder: Path) -> None:
    captions = [3, 17, 39]
    rows = [[caption, 2, 0, 0, 10, 10] for caption in captions]
    np.save(scan_folder / "test_alignments.npy", np.array(rows, np.float64))
    pairs = next(iter(data(scan_folder).test_dataloader()[2])).pairs
    assert pairs.captions.ids.tolist() == captions
    assert pairs.images.ids.tolist() == pairs.captions.image_ids.tolist() == [0, 3, 7]
    features = np.load(scan_folder / "test_ims.npy")
    np.testing.assert_array_equal(pairs.images.regions.numpy(), features[[0, 3, 7]])
