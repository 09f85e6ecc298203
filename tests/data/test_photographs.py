"""Photographs are found by name, and only those of the split are taken."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from selfalign.data.checks.text import image_name_findings
from selfalign.data.layout import find_split
from selfalign.data.photographs import Photos
from selfalign.errors import UserError


def save(path: Path, colour: str, size: tuple[int, int] = (40, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def test_names_are_relative_to_the_data_set_or_to_the_folder_given(scan_folder: Path, tmp_path: Path) -> None:
    (scan_folder / "dev_images.txt").write_text("".join(f"{row}.png\n" for row in range(6)))
    files = find_split(scan_folder, "dev")
    assert Photos(files, None).read(3) is None
    save(scan_folder / "images" / "3.png", "red")
    save(tmp_path / "own" / "3.png", "blue", (2000, 1000))
    red, blue = Photos(files, None).read(3), Photos(files, tmp_path / "own").read(3)
    assert red is not None
    assert blue is not None
    assert red.getpixel((5, 5)) == (255, 0, 0)
    assert blue.size == (512, 256)
    assert Photos(files, None).name(3) == "3.png"


def test_coco_s_numbers_name_its_files(scan_folder: Path, tmp_path: Path) -> None:
    (scan_folder / "dev_ids.txt").write_text("".join(f"{391895 + row}\n" for row in range(6) for _ in range(5)))
    save(tmp_path / "val2014" / "COCO_val2014_000000391897.jpg", "red")
    photos = Photos(find_split(scan_folder, "dev"), tmp_path)
    assert photos.read(2) is not None
    assert photos.read(1) is None


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_what_is_no_photograph_is_none(content: bytes, scan_folder: Path) -> None:
    (scan_folder / "dev_images.txt").write_text("".join(f"{row}.png\n" for row in range(6)))
    (scan_folder / "0.png").write_bytes(content)
    assert Photos(find_split(scan_folder, "dev"), None).read(0) is None


def test_a_wrong_folder_is_an_error(scan_folder: Path, tmp_path: Path) -> None:
    files = find_split(scan_folder, "dev")
    with pytest.raises(UserError, match="is no folder"):
        Photos(files, tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"dev_images\.txt"):
        Photos(files, tmp_path)
    (scan_folder / "dev_images.txt").write_text("".join(f"{row}.png\n" for row in range(6)))
    with pytest.raises(UserError, match=r"no photograph .*0\.png"):
        Photos(find_split(scan_folder, "dev"), tmp_path).require(0)


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../secret.png", "a/../../secret.png", "..", "~/x.png", "C:\\x", "..\\x"]
)
def test_names_that_leave_the_folder_are_refused(name: str, scan_folder: Path) -> None:
    save(scan_folder.parent / "secret.png", "red")
    (scan_folder / "dev_images.txt").write_text("".join(f"{name if row == 2 else f'{row}.png'}\n" for row in range(6)))
    with pytest.raises(UserError, match="leaves the folder of the photographs"):
        Photos(find_split(scan_folder, "dev"), None)
    findings = list(image_name_findings("dev", scan_folder / "dev_images.txt"))
    assert [finding.level for finding in findings] == ["error"]


def test_names_in_folders_stay_inside(scan_folder: Path) -> None:
    names = ["a/b/0.png", "train2014/COCO_train2014_1.jpg", "a..b.png", "ä b.jpg", ".hidden.png", "x~.png"]
    (scan_folder / "dev_images.txt").write_text("\n".join(names))
    assert not list(image_name_findings("dev", scan_folder / "dev_images.txt"))
    save(scan_folder / "images" / "a" / "b" / "0.png", "red")
    assert Photos(find_split(scan_folder, "dev"), None).read(0) is not None


@pytest.mark.parametrize(("ending", "options"), [("png", {}), ("tiff", {"compression": "group4"}), ("gif", {})])
def test_a_picture_that_unpacks_to_gigabytes_is_none(ending: str, options: dict[str, str], scan_folder: Path) -> None:
    Image.new("1", (9000, 9000)).save(scan_folder / f"0.{ending}", **options)
    (scan_folder / "dev_images.txt").write_text("".join(f"{row}.{ending}\n" for row in range(6)))
    tracemalloc.start()
    assert Photos(find_split(scan_folder, "dev"), None).read(0) is None
    assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    tracemalloc.stop()
