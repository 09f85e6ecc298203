"""Bad and hostile data files: training and the check refuse each in one line that says where, and soon."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from selfalign.data.text.captions import read_captions
from selfalign.errors import UserError
from tests.data.bad_files import BAD, FILES, changed, good_folder, inspected, put, trained_on, written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return good_folder(tmp_path)


def test_the_good_folder_is_good(folder: Path) -> None:
    trained_on(folder)
    found = inspected(folder)
    assert {finding.level for finding in found.findings} == {"ok"}
    assert found.usable(boxes=True)
    assert found.usable(boxes=False)


def test_there_are_many_bad_inputs() -> None:
    assert len(BAD) > 100
    assert len({kind for _, kind in BAD}) >= 40


@pytest.mark.parametrize(("file", "kind"), BAD, ids=lambda value: str(value))
def test_a_bad_file_is_one_line_that_says_where(file: str, kind: str, folder: Path) -> None:
    FILES[file][kind](folder / file)
    start = time.process_time()
    with pytest.raises(UserError) as caught:
        trained_on(folder)
    assert "\n" not in str(caught.value)
    assert file in str(caught.value) or str(folder) in str(caught.value)
    found = inspected(folder)
    errors = [finding.text for finding in found.findings if finding.level == "error"]
    assert any(file in text for text in errors), errors
    assert not any("\n" in text for text in errors)
    assert time.process_time() - start < 10
    assert not Path("hacked").exists()


@contextmanager
def without_privileges() -> Iterator[None]:
    """The superuser may read everything; nobody may not."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("name", ["train_ims.npy", "dev_boxes.npy", "test_caps.txt", "train_ids.txt", "."])
def test_a_file_without_permission_is_one_line(name: str, folder: Path) -> None:
    open_folder = Path(tempfile.mkdtemp())
    try:
        open_folder.chmod(0o755)
        root = Path(shutil.copytree(folder, open_folder / "scan"))
        (root / name).chmod(0)
        with without_privileges(), pytest.raises(UserError, match="Permission denied") as caught:
            trained_on(root)
        assert "\n" not in str(caught.value)
        (root / name).chmod(0o755)
    finally:
        shutil.rmtree(open_folder)


@pytest.mark.parametrize("name", ["train_ims.npy", "train_caps.txt", "dev_boxes.npy", "test_img_sizes.npy"])
def test_a_missing_file_is_named(name: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(UserError, match=name.split("_")[1].split(".")[0]):
        trained_on(folder)
    assert any(name in finding.text for finding in inspected(folder).findings if finding.level == "error")


def test_the_check_lists_the_errors_of_all_splits(folder: Path) -> None:
    put((3, 1), np.nan)(folder / "train_ims.npy")
    put((2, 1, 2), 0.0)(folder / "dev_boxes.npy")
    written(b"a dog\n")(folder / "test_caps.txt")
    texts = [finding.text for finding in inspected(folder).findings if finding.level == "error"]
    assert [name for name in ("train_ims", "dev_boxes", "test_caps") if any(name in text for text in texts)] == [
        "train_ims",
        "dev_boxes",
        "test_caps",
    ]
    assert any("(10 such values)" in text for text in texts)


def test_windows_line_ends_and_byte_order_marks_are_no_errors(folder: Path) -> None:
    plain = read_captions(folder / "dev_caps.txt")
    changed(lambda content: b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))(folder / "dev_caps.txt")
    changed(lambda content: b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))(folder / "dev_ids.txt")
    trained_on(folder)
    assert read_captions(folder / "dev_caps.txt") == plain


STRANGE = {
    "has more than 100 words": "dog " * 150,
    "has no letters": "12 ,.",
    "holds the replacement character": "a caf\ufffd",
    "holds HTML": "a dog <br/> &amp; a cat",
    "holds control characters": "a\x07dog",
}


@pytest.mark.parametrize("problem", STRANGE)
def test_strange_captions_are_warnings_with_line_and_count(problem: str, folder: Path) -> None:
    lines = (folder / "train_caps.txt").read_text().splitlines()
    lines[6] = lines[8] = STRANGE[problem]
    (folder / "train_caps.txt").write_text("\n".join(lines) + "\n")
    found = [finding for finding in inspected(folder).findings if finding.level == "warning"]
    assert len(found) == 1
    assert problem in found[0].text
    assert "line 7" in found[0].text
    assert "(2 such lines)" in found[0].text


def test_real_data_have_no_errors(shared: Path) -> None:
    found = inspected(shared / "data" / "f8k_precomp")
    assert found.errors == 0
    assert found.usable(boxes=True)
    assert found.usable(boxes=False)
