"""Splits that share images, under any name and in any order, never train and choose one model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from selfalign.data.checks.inspection import Inspection
from selfalign.errors import UserError
from tests.data.bad_files import SPLITS, good_folder, inspected, trained_on


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return good_folder(tmp_path)


def copy_files(root: Path, names: tuple[str, ...], copy: Callable[[Path, Path], object]) -> None:
    for name in names:
        (root / f"dev_{name}").unlink()
        copy(root / f"test_{name}", root / f"dev_{name}")


COPIES: dict[str, Callable[[Path, Path], object]] = {
    "link": lambda source, target: target.symlink_to(source),
    "hard link": os.link,
    "copy": shutil.copyfile,
}


@pytest.mark.parametrize("name", ["ims.npy", "caps.txt"])
@pytest.mark.parametrize("how", COPIES)
def test_the_test_split_under_another_name_cannot_choose_the_model(how: str, name: str, folder: Path) -> None:
    copy_files(folder, (name,), COPIES[how])
    with pytest.raises(UserError, match=r"dev and test are (the same file|copies)"):
        trained_on(folder)
    assert any("dev and test are" in finding.text for finding in inspected(folder).findings)


def test_a_shuffled_test_split_cannot_choose_the_model(folder: Path) -> None:
    order = np.random.default_rng(1).permutation(12)
    for name in ("ims", "boxes", "img_sizes"):
        np.save(folder / f"dev_{name}.npy", np.load(folder / f"test_{name}.npy")[order])
    lines = (folder / "test_caps.txt").read_text().splitlines()
    shuffled = [lines[5 * image + place] for image in order for place in (4, 2, 0, 1, 3)]
    (folder / "dev_caps.txt").write_text("\n".join(shuffled) + "\n")
    with pytest.raises(UserError, match="dev and test: the same features in 12 images"):
        trained_on(folder)
    texts = [finding.text for finding in inspected(folder).findings if finding.level == "error"]
    assert any("the same caption lists in 12 images" in text for text in texts)


def test_test_images_in_another_precision_cannot_train(folder: Path) -> None:
    values = np.load(folder / "train_ims.npy").astype(np.float16)
    values[3:6] = np.load(folder / "test_ims.npy")[:3]
    np.save(folder / "train_ims.npy", values)
    with pytest.raises(UserError, match="train and test: the same features in 3 images, first image 3 of train"):
        trained_on(folder)


def test_shared_ids_are_a_leak_and_row_numbers_are_not(folder: Path) -> None:
    rows = "".join(f"{row}\n" for row in range(12))
    for split in SPLITS:
        (folder / f"{split}_ids.txt").write_text(rows)
    trained_on(folder)
    for split in ("dev", "test"):
        (folder / f"{split}_ids.txt").write_text("".join(f"{row + 5000}\n" for row in range(12)))
    with pytest.raises(UserError, match="dev and test: the same ids in 12 images"):
        trained_on(folder)


def test_a_large_file_is_compared_by_samples(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selfalign.data.checks.overlap._WHOLE_BYTES", 100)
    monkeypatch.setattr("selfalign.data.checks.overlap._ALL_IMAGES", 5)
    monkeypatch.setattr("selfalign.data.checks.overlap._SAMPLED_IMAGES", 6)
    monkeypatch.setattr("selfalign.data.checks.array_checks._WHOLE_BYTES", 100)
    monkeypatch.setattr("selfalign.data.checks.array_checks._SAMPLED_IMAGES", 6)
    trained_on(folder)
    found = Inspection(folder, boxes=True, full=False)
    for name in SPLITS:
        found.split(name)
    found.together()
    assert any("6 of 12 train images compared" in finding.text for finding in found.findings)
    assert any("(6 images read)" in finding.text for finding in found.findings)
    values = np.load(folder / "dev_ims.npy")
    values[0] = np.load(folder / "test_ims.npy")[0]
    np.save(folder / "dev_ims.npy", values)
    with pytest.raises(UserError, match="dev and test: the same features in 1 image"):
        trained_on(folder)
