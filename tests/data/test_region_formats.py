"""Region features of every form become the same bytes; what is foreign in them is one line."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from selfalign.commands import convert
from selfalign.data.checks.checksums import checksum_findings
from selfalign.data.conversion.image_names import ImageNames
from selfalign.data.conversion.region_formats import REGION_FORMATS
from selfalign.data.conversion.regions_to_layout import RegionSources, RegionTarget, convert_regions
from selfalign.errors import UserError

IMAGES = [7, 42, 391895, 12]
"""In the order of the rows to be written; the sources have them sorted, and one more."""
COUNTS = {7: 3, 42: 5, 391895: 4, 12: 3, 99: 4}
WIDTH, MOST = 6, 5


def name(image: int) -> str:
    return f"COCO_val2014_{image:012}.jpg"


def regions(image: int, count: int | None = None) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    random = np.random.default_rng(image)
    boxes = np.sort(random.uniform(0, 50, (MOST, 4)).astype("<f4"), axis=1)
    features = random.standard_normal((MOST, WIDTH)).astype("<f4")
    count = COUNTS[image] if count is None else count
    return features[:count], boxes[:count], (60 + image % 7, 50)


def line(image: int, ten: bool, count: int | None = None) -> bytes:
    features, boxes, (width, height) = regions(image, count)
    last = [b"%d" % len(features), *(base64.b64encode(values.tobytes()) for values in (boxes, features))]
    sizes = [b"%d" % height, b"%d" % width, b"", b"", b"", b""] if ten else [b"%d" % width, b"%d" % height]
    return b"\t".join([name(image).encode() if ten else b"%d" % image, *sizes, *last]) + b"\n"


def tsv(folder: Path, ten: bool, titled: bool = False) -> Path:
    titles = b"image_id\timage_w\timage_h\tnum_boxes\tboxes\tfeatures\n" if titled else b""
    (folder / "x.tsv").write_bytes(titles + b"".join(line(image, ten) for image in sorted(COUNTS)))
    return folder / "x.tsv"


def npz(folder: Path, turned: bool = False) -> Path:
    (folder / "dump").mkdir()
    for image in COUNTS:
        features, boxes, (width, height) = regions(image)
        values = {"x": features.T if turned else features, "bbox": boxes, "num_bbox": len(boxes)}
        pickled = np.array({"objects_id": [1]}, dtype=object)  # as the usual dumps have; it is never read
        np.savez_compressed(
            folder / "dump" / f"{name(image)}.npz", image_w=width, image_h=height, info=pickled, **values
        )
    return folder / "dump"


def hdf5(folder: Path, form: str) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "x.h5", "w") as file:
        images = sorted(COUNTS)
        if form == "one after the other":
            ends = np.cumsum([0, *(COUNTS[image] for image in images)])
            file["image_features"] = np.concatenate([regions(image)[0] for image in images])
            file["image_bb"] = np.concatenate([regions(image)[1] for image in images])
            file["pos_boxes"] = np.stack([ends[:-1], ends[1:]], axis=1)
            file["img_sizes"] = np.array([regions(image)[2] for image in images])
            file["image_ids"] = [name(image) for image in images]
            return folder / "x.h5"
        for image in images:
            features, boxes, size = regions(image)
            group = file.create_group(str(image))
            group["features"], group["boxes"] = features, boxes
            group.attrs["image_w"], group.attrs["image_h"] = size
    return folder / "x.h5"


VARYING: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "bottom-up attention's six columns": ("tsv", lambda folder: tsv(folder, ten=False)),
    "six columns with their names": ("tsv", lambda folder: tsv(folder, ten=False, titled=True)),
    "LXMERT's ten columns and file names": ("tsv", lambda folder: tsv(folder, ten=True)),
    "a .npz for each image": ("npz", npz),
    "a .npz for each image, features first": ("npz", lambda folder: npz(folder, turned=True)),
    "HDF5, regions one after the other": ("hdf5", lambda folder: hdf5(folder, "one after the other")),
    "HDF5, a group for each image": ("hdf5", lambda folder: hdf5(folder, "groups")),
}


def write(
    form: str, source: Path, root: Path, range_: tuple[int, int] = (2, MOST), order: list[str] | None = None,
    images: list[str] | None = None, **settings: bool,
) -> list[str]:  # fmt: skip
    row = next(row for row in REGION_FORMATS if row.name == form)
    wanted = [str(image) for image in IMAGES] if images is None else images
    target = RegionTarget(root, "train", wanted, "ids", range_, **settings)
    return convert_regions(RegionSources(row, [source], order), target, lambda text: None)


@pytest.mark.parametrize("kind", VARYING)
def test_every_form_becomes_the_same_padded_arrays(kind: str, tmp_path: Path) -> None:
    form, make = VARYING[kind]
    write(form, make(tmp_path), tmp_path / "out")
    arrays = {path.stem: np.load(path) for path in (tmp_path / "out").glob("*.npy")}
    assert set(arrays) == {"train_ims", "train_boxes", "train_img_sizes", "train_num_regions"}
    assert arrays["train_num_regions"].dtype == np.int64
    assert arrays["train_num_regions"].tolist() == [COUNTS[image] for image in IMAGES]
    for row, image in enumerate(IMAGES):
        features, boxes, size = regions(image)
        np.testing.assert_array_equal(arrays["train_ims"][row, : len(features)], features)
        np.testing.assert_array_equal(arrays["train_boxes"][row, : len(features)], boxes)
        assert not arrays["train_ims"][row, len(features) :].any()
        assert not arrays["train_boxes"][row, len(features) :].any()
        assert tuple(arrays["train_img_sizes"][row]) == size
    assert (tmp_path / "out" / "train_image_ids.txt").read_text().split() == [str(image) for image in IMAGES]
    assert {finding.level for finding in checksum_findings(tmp_path / "out")} == {"ok"}
    assert len(list((tmp_path / "out").iterdir())) == 6


def stacked(folder: Path, form: str) -> tuple[Path, list[str] | None]:
    """Three regions of every image in one array, without names."""
    images = sorted(COUNTS)
    features = np.stack([regions(image, 3)[0] for image in images])
    boxes = np.stack([regions(image, 3)[1] for image in images])
    sizes = np.array([regions(image)[2] for image in images], np.float32)
    if form == "npy":
        for kind, values in {"ims": features, "boxes": boxes, "img_sizes": sizes}.items():
            np.save(folder / f"all_{kind}.npy", values)
        return folder / "all_ims.npy", [name(image) for image in images]
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "x.h5", "w") as file:
        file["features"], file["boxes"] = features, boxes
        file["image_w"], file["image_h"] = sizes[:, 0], sizes[:, 1]
    return folder / "x.h5", [name(image) for image in images]


@pytest.mark.parametrize("form", ["npy", "hdf5"])
def test_arrays_of_all_images_need_an_order_of_names(form: str, tmp_path: Path) -> None:
    source, order = stacked(tmp_path, form)
    written = write(form, source, tmp_path / "out", (3, 3), order)
    assert written == ["train_ims.npy", "train_boxes.npy", "train_img_sizes.npy", "train_image_ids.txt"]
    for row, image in enumerate(IMAGES):
        np.testing.assert_array_equal(np.load(tmp_path / "out" / "train_ims.npy")[row], regions(image, 3)[0])
        np.testing.assert_array_equal(np.load(tmp_path / "out" / "train_boxes.npy")[row], regions(image, 3)[1])
    assert write(form, source, tmp_path / "bare", (3, 3), order, boxes=False) == [
        "train_ims.npy",
        "train_image_ids.txt",
    ]
    with pytest.raises(UserError, match="--order has 4 names"):
        write(form, source, tmp_path / "other", (3, 3), order[:4] if order else None)


def test_vectors_and_grids_without_boxes_are_features(tmp_path: Path) -> None:
    np.save(tmp_path / "clip.npy", np.arange(12, dtype=np.float32).reshape(4, 3))
    write("npy", tmp_path / "clip.npy", tmp_path / "vectors", (1, 1), ["42", "7", "12", "391895"])
    assert np.load(tmp_path / "vectors" / "train_ims.npy")[:2, 0, 0].tolist() == [3.0, 0.0]
    (tmp_path / "grids").mkdir()
    for image in IMAGES:
        np.savez(tmp_path / "grids" / f"{image}.npz", feat=np.full((2, 2, 3), image, np.float32))
    write("npz", tmp_path / "grids", tmp_path / "out", (4, 4))
    assert np.load(tmp_path / "out" / "train_ims.npy")[:, 3, 2].tolist() == IMAGES


def test_a_mismatch_shows_the_names_of_both_sides(tmp_path: Path) -> None:
    source = tsv(tmp_path, ten=True)
    with pytest.raises(UserError, match=r"none of its 2 images.*COCO_val2014_000000000007\.jpg, .*wanted a, b"):
        write("tsv", source, tmp_path / "none", images=["a", "b"])
    with pytest.raises(UserError, match=r"1 of 2 images are in none of the sources, first dog; .*called COCO_val2014"):
        write("tsv", source, tmp_path / "some", images=["dog", "42"])


def test_names_that_two_images_could_have_find_neither() -> None:
    names = ImageNames(["a/7.jpg", "b/7.jpg", "12"])
    assert [names.find(image) for image in ("7", "b/7.jpg", "0012.png", "13")] == [None, 1, 2, None]


@pytest.mark.parametrize("range_", [(3, 3), (4, 5), (1, 4)])
def test_numbers_of_regions_outside_the_range_are_refused(range_: tuple[int, int], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\d boxes, expected .*; .*--regions"):
        write("npz", npz(tmp_path), tmp_path / "out", range_)


def pickled(folder: Path) -> Path:
    (folder / "dump").mkdir()
    np.savez(folder / "dump" / "42.npz", x=np.array([{}, print], dtype=object))
    return folder / "dump"


def without_size(folder: Path) -> Path:
    (folder / "dump").mkdir()
    np.savez(folder / "dump" / "42.npz", x=np.ones((3, 6)), bbox=np.ones((3, 4)))
    return folder / "dump"


def cut(folder: Path) -> Path:
    path = npz(folder) / f"{name(42)}.npz"
    path.write_bytes(path.read_bytes()[:200])
    return path.parent


def of_another_file(folder: Path) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "secret.h5", "w") as file:
        file["x"] = np.ones((3, 6))
    with h5py.File(folder / "x.h5", "w") as file:
        file["42"] = h5py.ExternalLink("secret.h5", "/x")
    return folder / "x.h5"


def raw_bytes_of_another_file(folder: Path) -> Path:
    h5py = pytest.importorskip("h5py")
    (folder / "secret").write_bytes(bytes(72))
    with h5py.File(folder / "x.h5", "w") as file:
        file.create_dataset("42", (3, 6), "<f4", external=[(str(folder / "secret"), 0, 72)])
    return folder / "x.h5"


def no_hdf5(folder: Path) -> Path:
    (folder / "x.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(500))
    return folder / "x.h5"


BAD: dict[str, tuple[str, Callable[[Path], Path], str]] = {
    "a pickle": ("npz", pickled, "could run code"),
    "boxes without a size": ("npz", without_size, "--no-boxes"),
    "a cut file": ("npz", cut, "cannot be read"),
    "an empty folder": ("npz", lambda folder: folder, "no .npz or .npy there"),
    "no folder": ("npz", lambda folder: folder / "none", "cannot be read"),
    "a link to another file": ("hdf5", of_another_file, "reads another file"),
    "bytes of another file": ("hdf5", raw_bytes_of_another_file, "reads another file"),
    "damaged HDF5": ("hdf5", no_hdf5, "cannot be read"),
    "no file": ("hdf5", lambda folder: folder / "none.h5", "cannot be read"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_foreign_or_damaged_is_one_line(kind: str, tmp_path: Path) -> None:
    form, make, message = BAD[kind]
    with pytest.raises(UserError, match=message) as caught:
        write(form, make(tmp_path), tmp_path / "out", images=["42"])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "train_ims.npy").exists()


def test_an_interrupted_folder_goes_on_and_a_changed_one_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = npz(tmp_path)
    write("npz", source, tmp_path / "whole")
    lost = source / f"{name(391895)}.npz"
    lost.rename(tmp_path / "aside")
    with pytest.raises(UserError, match="1 of 4 images"):
        write("npz", source, tmp_path / "out")
    (tmp_path / "aside").rename(lost)
    write("npz", source, tmp_path / "out")
    made = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert made == {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}


def karpathy(folder: Path) -> Path:
    images = [
        {"filename": name(image), "split": "train", "sentences": [{"raw": f"{image} number {n}"} for n in range(count)]}
        for image, count in zip(IMAGES, (5, 6, 5, 7), strict=True)
    ]
    (folder / "dataset_x.json").write_text(json.dumps({"images": images}))
    return folder / "dataset_x.json"


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["convert", *map(str, words)])
    convert.main()


@pytest.mark.parametrize("per_image", ["5", "all"])
def test_one_command_makes_a_split_of_features_and_captions(
    per_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--captions", karpathy(tmp_path), "--root", tmp_path / "out", "--split", "train", "--regions", "2-5"]
    run(monkeypatch, "tsv", tsv(tmp_path, ten=True), *words, "--per-image", per_image)
    captions = (tmp_path / "out" / "train_caps.txt").read_text().splitlines()
    owners = (tmp_path / "out" / "train_ids.txt").read_text().splitlines()
    assert [owner.split("_")[2].lstrip("0").removesuffix(".jpg") for owner in owners] == [
        c.split()[0] for c in captions
    ]
    assert len(captions) == (20 if per_image == "5" else 23)
    assert (tmp_path / "out" / "train_image_ids.txt").read_text().split() == [name(image) for image in IMAGES]
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 2
    assert "passed over 1 image" in told[0]
    assert ("5 captions each" if per_image == "5" else "5 to 7 captions each") in told[1]
    with pytest.raises(SystemExit, match="exists already"):
        run(monkeypatch, "tsv", tmp_path / "x.tsv", *words, "--per-image", per_image)


def test_images_without_captions_stay_where_all_captions_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "order.txt").write_text("".join(f"{image}\n" for image in [*IMAGES, 99]))
    words = ["captions", karpathy(tmp_path), "--root", tmp_path, "--split", "train", "--images", tmp_path / "order.txt"]
    with pytest.raises(SystemExit, match="none of image 99"):
        run(monkeypatch, *words)
    run(monkeypatch, *words, "--per-image", "all")
    assert "1 image without a caption" in capsys.readouterr().out
    assert (tmp_path / "train_image_ids.txt").read_text().split()[-1] == "99"
    assert len(set((tmp_path / "train_ids.txt").read_text().split())) == 4
