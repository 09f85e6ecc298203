"""Reading SCAN's layout: right rows, and one line for every broken file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from selfalign.data.checks.findings import require
from selfalign.data.checks.rules import split_findings
from selfalign.data.dataset import Split, open_split
from selfalign.data.layout import find_split, require_distinct_files
from selfalign.data.ownership import open_features
from selfalign.data.regions.disk_array import DiskArray
from selfalign.data.text.captions import read_captions
from selfalign.data.text.tokenizers import WordTokenizer
from selfalign.data.text.vocabulary import Vocabulary
from selfalign.errors import UserError


def check_split(split: Split) -> None:
    """What training requires of a split."""
    require(split_findings(split.files, split.texts, split.features, split.positions), lambda line: None)


def tokenizer(root: Path) -> WordTokenizer:
    return WordTokenizer(Vocabulary.build(read_captions(root / "train_caps.txt"), minimum_count=1))


def opened(root: Path, boxes: bool = True) -> Split:
    split = open_split(root, "train", tokenizer(root), boxes=boxes)
    check_split(split)
    return split


def edit(path: Path, change: Callable[[np.ndarray], None]) -> None:
    values = np.load(path)
    change(values)
    np.save(path, values)


def put(*place: object) -> Callable[[np.ndarray], None]:
    *index, value = place

    def change(values: np.ndarray) -> None:
        values[tuple(index)] = value

    return change


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def lines(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")


OTHERS = np.random.default_rng(1).standard_normal((30, 4, 10)).astype(np.float32)

BROKEN = {
    "missing folder": (lambda root: root.rename(root.with_name("gone")), "no such folder"),
    "missing features": (lambda root: (root / "train_ims.npy").unlink(), "no features of split 'train'"),
    "missing captions": (lambda root: (root / "train_caps.txt").unlink(), "no captions of split 'train'"),
    "missing boxes": (lambda root: (root / "train_boxes.npy").unlink(), "which this backbone needs"),
    "missing sizes": (lambda root: (root / "train_img_sizes.npy").unlink(), "which this backbone needs"),
    "a caption too few": (lambda root: lines(root / "train_caps.txt", lambda text: text[:-1]), "12 images need 60"),
    "two captions an image": (
        lambda root: lines(root / "train_caps.txt", lambda text: text[:24]),
        "need 60 captions \\(5 each\\), got 24 in train_caps.txt; 2 an image, where five are expected; train_ids.txt",
    ),
    "an empty caption": (
        lambda root: lines(root / "train_caps.txt", lambda text: [*text[:7], " ", *text[8:]]),
        "line 8",
    ),
    "bytes as text": (
        lambda root: lines(root / "train_caps.txt", lambda text: [f"b'{t}'" for t in text]),
        "bytes object",
    ),
    "a caption that is a book": (
        lambda root: lines(root / "train_caps.txt", lambda text: ["dog " * 9000, *text[1:]]),
        "line 1 has 35,999 characters",
    ),
    "neither repeated nor single images": (
        lambda root: np.save(
            root / "train_ims.npy",
            np.concatenate([np.load(root / "train_ims.npy")[:6].repeat(5, axis=0), OTHERS]),
        ),
        "the five rows of image 6 are not the same",
    ),
    "not UTF-8": (lambda root: (root / "train_caps.txt").write_bytes(b"a dog\n\xff\xfe\n"), "not UTF-8 at byte 6"),
    "empty captions": (lambda root: (root / "train_caps.txt").write_bytes(b""), "the file is empty"),
    "truncated features": (lambda root: cut(root / "train_ims.npy", 500), "truncated"),
    "no npy file": (lambda root: (root / "train_ims.npy").write_bytes(b"PK\x03\x04 no"), "not a readable .npy"),
    "features of four axes": (
        lambda root: np.save(root / "train_ims.npy", np.ones((12, 4, 1, 1), np.float32)),
        "2 or 3 axes",
    ),
    "one vector an image with boxes of four": (
        lambda root: np.save(root / "train_ims.npy", np.ones((12, 4), np.float32)),
        "expected shape \\(12, 1, 4\\) as the features have",
    ),
    "integer features": (lambda root: np.save(root / "train_ims.npy", np.ones((12, 4, 10), int)), "type int64"),
    "object features": (
        lambda root: np.save(root / "train_ims.npy", np.full((12, 4, 10), None), allow_pickle=True),
        "type object; images of different numbers of regions are padded",
    ),
    "NaN": (lambda root: edit(root / "train_ims.npy", put(3, 2, 1, np.nan)), "image 3, region 2, column 1 is nan"),
    "infinity": (
        lambda root: edit(root / "train_ims.npy", put(11, 0, 0, np.inf)),
        "image 11, region 0, column 0 is inf",
    ),
    "boxes of other regions": (
        lambda root: np.save(root / "train_boxes.npy", np.ones((12, 5, 4), np.float32)),
        "expected shape \\(12, 4, 4\\)",
    ),
    "a box outside": (lambda root: edit(root / "train_boxes.npy", put(5, 1, 2, 400)), "image 5, region 1"),
    "a box of no area": (
        lambda root: edit(root / "train_boxes.npy", put(5, 1, slice(None), [9, 9, 9, 20])),
        "has no area",
    ),
    "a box of NaN": (lambda root: edit(root / "train_boxes.npy", put(5, 1, 0, np.nan)), "not finite"),
    "an image of no size": (lambda root: edit(root / "train_img_sizes.npy", put(4, 0, 0)), "image 4 is 0 100 pixels"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_one_line_that_says_where(name: str, scan_folder: Path) -> None:
    opened(scan_folder)
    train = tokenizer(scan_folder)
    break_it, message = BROKEN[name]
    break_it(scan_folder)
    with pytest.raises(UserError, match=message) as caught:
        check_split(open_split(scan_folder, "train", train, boxes=True))
    assert "\n" not in str(caught.value)
    assert str(scan_folder) in str(caught.value)


def test_a_header_that_promises_a_huge_array_is_refused_before_it_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "x_ims.npy"
    header = np.lib.format.header_data_from_array_1_0(np.zeros((1, 1, 1), np.float32)) | {"shape": (10**12, 36, 2048)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(UserError, match="truncated"):
        DiskArray(path, 3, "features")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_rows_are_those_asked_for_in_their_order(tmp_path: Path, dtype: str) -> None:
    values = np.random.default_rng(0).standard_normal((9, 2, 3)).astype(dtype)
    np.save(tmp_path / "a.npy", values)
    wanted = np.array([7, 0, 7, 3, 8, 0])
    found = DiskArray(tmp_path / "a.npy", 3, "features").rows(wanted)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, values[wanted])


def test_forked_readers_of_one_array_do_not_move_each_other(tmp_path: Path) -> None:
    """Loader processes inherit the open file, whose position they share: rows of other images came of it."""
    values = np.repeat(np.arange(4000, dtype=np.float32)[:, None, None], 500, axis=2)
    np.save(tmp_path / "a.npy", values)
    array = DiskArray(tmp_path / "a.npy", 3, "features")
    array.rows(np.array([0]))  # opens the file, as the checks before a run do
    order = torch.arange(4000).repeat(5).split(100)
    loader = DataLoader(
        _Rows(array), batch_sampler=[part.tolist() for part in order], num_workers=3, collate_fn=_as_it_is
    )
    for wanted, found in loader:
        assert (found == wanted[:, None, None]).all()


class _Rows(Dataset):
    def __init__(self, array: DiskArray) -> None:
        self.array = array

    def __getitems__(self, rows: list[int]) -> tuple[np.ndarray, np.ndarray]:
        return np.array(rows), self.array.rows(np.array(rows))


def _as_it_is(batch: object) -> object:
    return batch


def test_features_that_repeat_every_image_five_times_are_read_once(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((3, 2, 4)).astype(np.float32)
    np.save(tmp_path / "x_ims.npy", values.repeat(5, axis=0))
    (tmp_path / "x_caps.txt").touch()
    owned = open_features(find_split(tmp_path, "x"), captions=15)
    features = owned.features
    assert features.images == 3
    assert owned.image_of_caption.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    np.testing.assert_array_equal(features.rows(np.array([2, 1])), values[[2, 1]])


def test_all_files_of_a_split_come_from_one_variant_of_its_name(scan_folder: Path) -> None:
    for path in scan_folder.glob("dev_*"):
        path.rename(path.with_name(path.name.replace("dev_", "val_")))
    assert find_split(scan_folder, "dev").features.name == "val_ims.npy"
    (scan_folder / "dev_ims.npy").write_bytes((scan_folder / "train_ims.npy").read_bytes())
    files = find_split(scan_folder, "dev")
    assert {path.name.split("_")[0] for path in (files.features, files.captions, files.boxes)} == {"val"}


@pytest.mark.parametrize("how", ["variant", "link"])
def test_two_splits_that_are_the_same_files_are_refused(scan_folder: Path, how: str) -> None:
    if how == "variant":
        for path in scan_folder.glob("dev_*"):
            path.rename(path.with_name(path.name.replace("dev_", "val_")))
        names = ("train", "dev", "val")
    else:
        (scan_folder / "dev_ims.npy").unlink()
        (scan_folder / "dev_ims.npy").symlink_to(scan_folder / "test_ims.npy")
        names = ("train", "dev", "test")
    with pytest.raises(UserError, match=f"splits {names[1]} and {names[2]} are the same file"):
        require_distinct_files([find_split(scan_folder, name) for name in names])


def test_positions_are_shares_of_the_image(scan_folder: Path) -> None:
    np.save(scan_folder / "train_img_sizes.npy", np.tile(np.float32([200, 100]), (12, 1)))
    boxes = np.load(scan_folder / "train_boxes.npy")
    boxes[0, 0] = 20, 10, 120, 60
    np.save(scan_folder / "train_boxes.npy", boxes)
    positions = opened(scan_folder).image_batch(np.array([0])).positions
    np.testing.assert_allclose(positions[0, 0], [0.1, 0.1, 0.5, 0.5, 2.0, 0.25], rtol=1e-6)


def test_windows_line_ends_and_a_byte_order_mark_are_no_part_of_captions(tmp_path: Path) -> None:
    path = tmp_path / "x_caps.txt"
    path.write_bytes("\ufeffa dog\r\na café\u2028bar\r\n".encode())
    assert read_captions(path) == ["a dog", "a café\u2028bar"]


def test_known_variants_of_names_are_found(scan_folder: Path) -> None:
    for path in scan_folder.glob("dev_*"):
        path.rename(path.with_name(path.name.replace("dev_", "val_").replace("_boxes", "_bbx")))
    files = find_split(scan_folder, "dev")
    assert files.features.name == "val_ims.npy"
    assert files.boxes is not None
    assert files.boxes.name == "val_bbx.npy"


def test_vsrn_needs_no_boxes(scan_folder: Path) -> None:
    (scan_folder / "train_boxes.npy").unlink()
    assert opened(scan_folder, boxes=False).image_batch(np.array([1])).positions is None


def test_real_features_are_read_as_numpy_reads_them(shared: Path) -> None:
    root = shared / "data" / "f8k_precomp"
    split = open_split(root, "test", tokenizer(root), boxes=True)
    check_split(split)
    rows = np.array([999, 3, 3, 500])
    expected = np.load(root / "test_ims.npy", mmap_mode="r")[rows].astype(np.float32)
    np.testing.assert_array_equal(split.image_batch(rows).regions.numpy(), expected)
