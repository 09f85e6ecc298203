"""Regions of any number on disk: right rows, and one line for what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from selfalign.data.checks.findings import require
from selfalign.data.checks.rules import split_findings
from selfalign.data.layout import find_split
from selfalign.data.ownership import open_features
from selfalign.data.regions.positions import GridPositions, open_positions
from selfalign.errors import UserError
from tests.conftest import write_scan_folder

COUNTS = np.array([2, 4, 1, 3])
REAL = np.arange(4) < COUNTS[:, None]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four images of four regions."""
    return write_scan_folder(tmp_path / "scan", {"train": 4})


def padded(root: Path) -> None:
    np.save(root / "train_num_regions.npy", COUNTS)
    for kind in ("ims", "boxes"):
        np.save(root / f"train_{kind}.npy", np.load(root / f"train_{kind}.npy") * REAL[..., None].astype(np.float32))


def one_after_the_other(root: Path) -> None:
    np.save(root / "train_offsets.npy", np.concatenate([[0], np.cumsum(COUNTS)]))
    for kind in ("ims", "boxes"):
        np.save(root / f"train_{kind}.npy", np.load(root / f"train_{kind}.npy")[REAL])


def checked(root: Path, boxes: str = "pixels") -> None:
    files = find_split(root, "train")
    features = open_features(files, 20).features
    positions = open_positions(files, features, boxes)
    require(split_findings(files, None, features, positions), lambda line: None)


@pytest.mark.parametrize("form", [padded, one_after_the_other])
def test_rows_masks_and_boxes_are_those_of_each_image(form: Callable[[Path], None], root: Path) -> None:
    values = {kind: np.load(root / f"train_{kind}.npy") * REAL[..., None] for kind in ("ims", "boxes")}
    form(root)
    files, images = find_split(root, "train"), np.array([3, 0, 0, 2])
    features = open_features(files, 20).features
    np.testing.assert_array_equal(features.rows(images), values["ims"][images])
    np.testing.assert_array_equal(features.mask(images), REAL[images])
    np.testing.assert_array_equal(features.ends(images), values["ims"][images, COUNTS[images] - 1])
    positions = open_positions(files, features)
    np.testing.assert_array_equal(positions.raw(images)[0], values["boxes"][images])
    found = positions.rows(images)
    assert np.isfinite(found).all()
    assert not found[~REAL[images]].any()
    assert found[REAL[images]].all(axis=0).any()
    assert features.numbers == "1 to 4"
    checked(root)


def put(kind: str, *place: object) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        values = np.load(root / f"train_{kind}.npy")
        values[place[:-1]] = place[-1]
        np.save(root / f"train_{kind}.npy", values)

    return change


def objects(root: Path) -> None:
    lists = np.empty(4, object)
    lists[:] = [np.zeros((count, 10), np.float32) for count in COUNTS]
    np.save(root / "train_ims.npy", lists, allow_pickle=True)


def both(root: Path) -> None:
    np.save(root / "train_num_regions.npy", COUNTS)


WRONG: dict[str, tuple[Callable[[Path], None], Callable[[Path], None], str]] = {
    "more than there are": (padded, put("num_regions", 1, 5), "train_num_regions.npy: image 1 has 5; expected 1 to 4"),
    "none": (padded, put("num_regions", 2, 0), "image 2 has 0; expected 1 to 4"),
    "too few real": (padded, put("num_regions", 3, 2), "image 3 has something after its real regions"),
    "too many real": (padded, put("num_regions", 2, 2), "regions of zeros in image 2"),
    "of other images": (
        padded,
        lambda root: np.save(root / "train_num_regions.npy", COUNTS[:3]),
        "expected 4, one an image, got 3",
    ),
    "floats": (
        padded,
        lambda root: np.save(root / "train_num_regions.npy", COUNTS.astype(np.float32)),
        "expected int32, int64 in C order, got type float32",
    ),
    "object arrays": (padded, objects, "type object; images of different numbers of regions are padded"),
    "two files": (one_after_the_other, both, "beside it stand train_num_regions.npy and train_offsets.npy"),
    "an end too far": (one_after_the_other, put("offsets", -1, 11), "rise from 0 to 10, .* got from 0 to 11"),
    "offsets that fall": (one_after_the_other, put("offsets", 2, 1), "image 1 has the rows 2 to 1"),
    "boxes of another form": (
        one_after_the_other,
        lambda root: np.save(root / "train_boxes.npy", np.ones((4, 4, 4), np.float32)),
        "boxes .* expected 2 axes",
    ),
    "a box without area": (padded, put("boxes", 3, 2, 0.0), "image 3, region 2: .* has no area"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_one_line(name: str, root: Path) -> None:
    form, change, message = WRONG[name]
    form(root)
    checked(root)
    change(root)
    with pytest.raises(UserError, match=message) as caught:
        checked(root)
    assert "\n" not in str(caught.value)


def test_the_cells_of_a_grid_are_its_boxes(root: Path) -> None:
    np.save(root / "train_img_sizes.npy", np.full((4, 2), (200, 50), np.float32))
    features = open_features(find_split(root, "train"), 20).features
    found = open_positions(find_split(root, "train"), features, "2x2")
    assert isinstance(found, GridPositions)
    assert found.raw(np.array([1]))[0][0].tolist() == [
        [0, 0, 100, 25],
        [100, 0, 200, 25],
        [0, 25, 100, 50],
        [100, 25, 200, 50],
    ]
    np.testing.assert_allclose(found.rows(np.array([1]))[0, 3], [0.5, 0.5, 0.5, 0.5, 4.0, 0.25])
    for boxes, message in (("3x2", "3x2 are 6 cells, the features have 4 regions"), ("0x4", "or a grid as 7x7")):
        with pytest.raises(UserError, match=message):
            checked(root, boxes)
