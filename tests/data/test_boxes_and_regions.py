"""Boxes of every unit, and regions that are none: read right, or refused with the remedy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from selfalign.data.checks.findings import require
from selfalign.data.checks.rules import split_findings
from selfalign.data.dataset import open_split
from selfalign.data.layout import find_split
from selfalign.data.ownership import open_features
from selfalign.data.regions.features import RegionFeatures
from selfalign.data.regions.positions import BoxPositions
from selfalign.data.text.tokenizers import WordTokenizer
from selfalign.data.text.vocabulary import Vocabulary
from selfalign.errors import UserError


def change(path: Path, factor: float) -> None:
    np.save(path, (np.load(path) * factor).astype(np.float32))


def checked(root: Path, unit: str = "pixels", boxes: bool = True) -> BoxPositions | None:
    tokenizer = WordTokenizer(Vocabulary.build(["a dog"], 1))
    split = open_split(root, "train", tokenizer, boxes=boxes, box_unit=unit)
    require(split_findings(split.files, split.texts, split.features, split.positions), lambda line: None)
    return split.positions


def test_shares_of_the_image_are_refused_and_read_where_they_are_named(scan_folder: Path) -> None:
    expected = checked(scan_folder).rows(np.arange(12))
    change(scan_folder / "train_boxes.npy", 1 / 100)
    with pytest.raises(UserError, match=r"shares of the images' width and height.*use data\.boxes=fractions"):
        checked(scan_folder)
    np.testing.assert_allclose(checked(scan_folder, "fractions").rows(np.arange(12)), expected, rtol=1e-5)
    checked(scan_folder, boxes=False)  # nobody reads them


def test_pixels_are_no_shares(scan_folder: Path) -> None:
    with pytest.raises(UserError, match=r"no shares of the images; use data\.boxes=pixels"):
        checked(scan_folder, "fractions")
    with pytest.raises(UserError, match=r"data\.boxes: expected one of pixels, fractions"):
        checked(scan_folder, "inches")


@pytest.mark.parametrize(("name", "factor"), [("img_sizes", 7.0), ("boxes", 0.2)])
def test_boxes_and_sizes_of_two_scales_are_refused(name: str, factor: float, scan_folder: Path) -> None:
    change(scan_folder / f"train_{name}.npy", factor)
    with pytest.raises(UserError, match="of different scales"):
        checked(scan_folder)


def test_sizes_of_one_pixel_are_refused(scan_folder: Path) -> None:
    change(scan_folder / "train_boxes.npy", 1 / 100)
    change(scan_folder / "train_img_sizes.npy", 1 / 100)
    with pytest.raises(UserError, match="expected width and height above 1"):
        checked(scan_folder)


@pytest.mark.parametrize("regions", [1, 3])
def test_regions_of_zeros_are_refused_with_the_first_image(regions: int, scan_folder: Path) -> None:
    values = np.load(scan_folder / "train_ims.npy")
    values[[2, 7, 9], regions:] = 0
    np.save(scan_folder / "train_ims.npy", values)
    with pytest.raises(UserError, match=r"regions of zeros in image 2 and others \(3 such images\)"):
        checked(scan_folder)


@pytest.mark.parametrize(
    "repeated", [("boxes",), ("img_sizes",), ("boxes", "img_sizes"), ("ims", "boxes", "img_sizes")]
)
def test_what_is_stored_five_times_is_read_as_if_stored_once(repeated: tuple[str, ...], scan_folder: Path) -> None:
    sizes = np.load(scan_folder / "train_img_sizes.npy")
    np.save(scan_folder / "train_img_sizes.npy", sizes + np.arange(12, dtype=np.float32)[:, None])  # all differ
    features = RegionFeatures(scan_folder / "train_ims.npy")
    files = [scan_folder / f"train_{name}.npy" for name in ("boxes", "img_sizes")]
    images = np.array([11, 0, 3, 3, 7])
    expected = BoxPositions(*files, features).rows(images)
    regions = features.rows(images)
    for name in repeated:
        path = scan_folder / f"train_{name}.npy"
        np.save(path, np.load(path).repeat(5, axis=0))
    again = open_features(find_split(scan_folder, "train"), 60).features
    np.testing.assert_array_equal(BoxPositions(*files, again).rows(images), expected)
    np.testing.assert_array_equal(again.rows(images), regions)


def test_positions_are_x_y_w_h_ratio_and_area_share(tmp_path: Path) -> None:
    np.save(tmp_path / "ims.npy", np.ones((1, 1, 2), np.float32))
    np.save(tmp_path / "boxes.npy", np.array([[[20, 10, 60, 30]]], np.float32))
    np.save(tmp_path / "sizes.npy", np.array([[200, 50]], np.float32))
    features = RegionFeatures(tmp_path / "ims.npy")
    found = BoxPositions(tmp_path / "boxes.npy", tmp_path / "sizes.npy", features).rows(np.array([0]))
    np.testing.assert_allclose(found, [[[0.1, 0.2, 0.2, 0.4, 2.0, 0.08]]], rtol=1e-6)
