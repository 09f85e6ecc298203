"""One data set in many forms: each trains and is evaluated, and what must be equal is equal to the last digit."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from selfalign.engine.modules.retrieval import RetrievalModule
from tests.conftest import CAPTIONS
from tests.engine.modules.test_training import built, trainer
from tests.oracles import retrieval as oracle


def lines(path: Path, values: Sequence[object]) -> None:
    path.write_text("".join(f"{value}\n" for value in values))


def each_split(root: Path) -> list[tuple[Path, str, int]]:
    """Folder, split and images of each split."""
    return [(root, split, len(np.load(root / f"{split}_ims.npy"))) for split in ("train", "dev", "test")]


def with_ids(root: Path) -> None:
    for folder, split, images in each_split(root):
        lines(folder / f"{split}_ids.txt", [f"{split} {7 * image + 3}" for image in range(images) for _ in range(5)])


def shuffled(root: Path) -> None:
    """Captions of the splits that are evaluated in any order, each with the id of its image."""
    for folder, split, images in each_split(root)[1:]:
        captions = (folder / f"{split}_caps.txt").read_text().splitlines()
        order = np.random.default_rng(1).permutation(len(captions))
        lines(folder / f"{split}_caps.txt", [captions[row] for row in order])
        lines(folder / f"{split}_ids.txt", [f"image {row // 5}" for row in order])
        lines(folder / f"{split}_image_ids.txt", [f"image {row}" for row in range(images)])


def of_numbers(root: Path, numbers: Sequence[int]) -> None:
    """So many captions an image, by turns."""
    for folder, split, images in each_split(root):
        counts = [numbers[image % len(numbers)] for image in range(images)]
        owners = [image for image, count in enumerate(counts) for _ in range(count)]
        texts = [f"{CAPTIONS[line % 5]} number {line} {split}" for line in range(len(owners))]
        lines(folder / f"{split}_caps.txt", texts)
        if set(numbers) != {1}:
            lines(folder / f"{split}_ids.txt", owners)
            lines(folder / f"{split}_image_ids.txt", range(images))


def run(root: Path, backbone: str = "vsrn", *overrides: str) -> tuple[dict[str, float], RetrievalModule]:
    """Two steps of training and the figures of the test split."""
    module, data = built(root, "backbone.vocabulary.minimum_count=1", *overrides, backbone=backbone)
    of = trainer(root, epochs=1, limit_train_batches=2)
    of.fit(module, data)
    figures = of.test(module, data, verbose=False)[0]
    return {name.removeprefix("test/"): value for name, value in figures.items()}, module


def copied(source: Path, name: str) -> Path:
    return Path(shutil.copytree(source, source.with_name(name)))


def test_ids_and_shuffled_captions_change_no_figure(scan_folder: Path) -> None:
    expected, _ = run(scan_folder)
    assert len(expected) > 6
    for change in (with_ids, shuffled):
        root = copied(scan_folder, change.__name__)
        change(root)
        found, _ = run(root)
        assert found == expected, change.__name__


@pytest.mark.parametrize("numbers", [(1,), (1, 2, 7, 3), (2, 0, 1)])
def test_any_number_of_captions_is_counted_as_the_oracle_counts(scan_folder: Path, numbers: tuple[int, ...]) -> None:
    of_numbers(scan_folder, numbers)
    figures, module = run(scan_folder)
    image, caption, owners = module.recall.embeddings()
    counts = [numbers[row % len(numbers)] for row in range(8)]
    assert owners.tolist() == [row for row, count in enumerate(counts) for _ in range(count)]
    scores = module.backbone.similarity(image, caption).detach().numpy()
    described = [row for row, count in enumerate(counts) if count]
    compact = [described.index(owner) for owner in owners.tolist()]
    i2t, _ = oracle.ranks(scores[described], compact)
    t2i = [1 + int((scores[:, line] >= scores[owner, line]).sum()) - 1 for line, owner in enumerate(owners.tolist())]
    for side, ranks in (("i2t", i2t), ("t2i", t2i)):
        for depth in (1, 5):
            expected = 100 * np.mean(np.asarray(ranks) <= depth)
            assert figures[f"{side}_r{depth}"] == pytest.approx(expected, abs=1e-4), (side, depth)
    assert torch.isfinite(image.views).all()
