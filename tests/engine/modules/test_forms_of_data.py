"""One data set in many forms: each trains and is evaluated, and what must be equal is equal to the last digit."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from selfalign.data.checks.inspection import Inspection
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
    module, data = built(
        root, *("backbone.vocabulary.minimum_count=1",) * (backbone != "camera"), *overrides, backbone=backbone
    )
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


def counts_of(images: int) -> np.ndarray:
    counts = np.random.default_rng(images).integers(1, 5, images)
    counts[0] = 4
    return counts


def padded(root: Path, more: int = 0) -> None:
    """One to four regions an image, and rows of zeros up to four and more."""
    for folder, split, images in each_split(root):
        counts = counts_of(images)
        np.save(folder / f"{split}_num_regions.npy", counts)
        for kind in ("ims", "boxes"):
            values = np.load(folder / f"{split}_{kind}.npy") * (np.arange(4) < counts[:, None])[..., None]
            np.save(folder / f"{split}_{kind}.npy", np.pad(values, ((0, 0), (0, more), (0, 0))).astype(np.float32))


def padded_more(root: Path) -> None:
    padded(root, 3)


def one_after_the_other(root: Path) -> None:
    for folder, split, images in each_split(root):
        counts = counts_of(images)
        np.save(folder / f"{split}_offsets.npy", np.concatenate([[0], np.cumsum(counts)]))
        for kind in ("ims", "boxes"):
            values = np.load(folder / f"{split}_{kind}.npy")
            np.save(folder / f"{split}_{kind}.npy", values[np.arange(4) < counts[:, None]])


def repeated_five_times(root: Path) -> None:
    padded(root)
    for folder, split, _ in each_split(root):
        for kind in ("ims", "boxes", "num_regions"):
            np.save(folder / f"{split}_{kind}.npy", np.load(folder / f"{split}_{kind}.npy").repeat(5, axis=0))


def all_real(root: Path) -> None:
    for folder, split, images in each_split(root):
        np.save(folder / f"{split}_num_regions.npy", np.full(images, 4))


def one_region(root: Path) -> None:
    for folder, split, _ in each_split(root):
        np.save(folder / f"{split}_ims.npy", np.load(folder / f"{split}_ims.npy")[:, :1])


def one_vector(root: Path) -> None:
    for folder, split, _ in each_split(root):
        np.save(folder / f"{split}_ims.npy", np.load(folder / f"{split}_ims.npy")[:, 0])


def cells_as_boxes(root: Path) -> None:
    """The four quarters of pictures of 100 × 100."""
    cells = np.array([[0, 0, 50, 50], [50, 0, 100, 50], [0, 50, 50, 100], [50, 50, 100, 100]], np.float32)
    for folder, split, images in each_split(root):
        np.save(folder / f"{split}_boxes.npy", np.broadcast_to(cells, (images, 4, 4)))


def without_boxes(root: Path) -> None:
    for path in [*root.glob("*_boxes.npy"), *root.glob("*_img_sizes.npy")]:
        path.unlink()


BAG = ("backbone.vocabulary.minimum_count=1",)
Forms = dict[str, tuple[str, ...]]
SAME: dict[str, Forms] = {
    "camera": {"padded": (), "padded_more": (), "one_after_the_other": (), "repeated_five_times": ()},
    "vsrn": {"padded": (), "one_after_the_other": (), "padded ": ("data.resident=true",)},
    "vsrn, all regions": {"": (), "all_real": ()},
    "vsrn, one vector": {"one_region": (), "one_vector": ()},
    "linear, one vector": {"one_region": BAG, "one_vector": BAG},
    "camera, a grid": {"cells_as_boxes": (), "without_boxes": ("data.boxes=2x2",)},
}


@pytest.mark.parametrize("kind", SAME)
def test_regions_in_many_forms_give_the_same_figures_to_the_last_digit(kind: str, scan_folder: Path) -> None:
    found = {}
    for number, (form, overrides) in enumerate(SAME[kind].items()):
        root = copied(scan_folder, f"form{number}")
        if form:
            globals()[form.strip()](root)
        figures, module = run(root, kind.split(",")[0], *overrides)
        found[form] = figures, {name: value for name, value in module.state_dict().items() if "recall" not in name}
    (figures, weights), *others = found.values()
    for other, their in others:
        assert other == figures
        for name, value in weights.items():
            torch.testing.assert_close(their[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_a_folder_of_many_forms_passes_the_check(scan_folder: Path) -> None:
    of_numbers(scan_folder, (2, 0, 1))
    one_after_the_other(scan_folder)
    inspection = Inspection(scan_folder, boxes=True, full=True)
    for split in ("train", "dev", "test"):
        inspection.split(split)
    inspection.together()
    assert not [finding.text for finding in inspection.findings if finding.level != "ok"]
    told = [finding.text for finding in inspection.findings]
    assert any("1 to 4 regions of 10" in text for text in told)
    assert any("1 to 2 an image (4 images without)" in text for text in told)
