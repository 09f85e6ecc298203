"""Bad and hostile data files: training and the check refuse each in one line that says where, and soon."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from selfalign.data.checks.inspection import Inspection
from selfalign.data.datamodule import RetrievalDataModule
from selfalign.data.layout import find_split, require_distinct_files
from selfalign.data.text.captions import read_captions
from selfalign.data.text.tokenizers import WordTokenizer
from selfalign.data.text.vocabulary import Vocabulary
from selfalign.errors import UserError
from tests.conftest import CAPTIONS, write_scan_folder

SPLITS = ("train", "dev", "test")
Break = Callable[[Path], object]


def header(shape: tuple[int, ...], descr: str = "<f4", fortran: bool = False) -> bytes:
    text = repr({"descr": descr, "fortran_order": fortran, "shape": shape}).encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def written(content: bytes) -> Break:
    return lambda path: path.write_bytes(content)


def changed(change: Callable[[bytes], bytes]) -> Break:
    return lambda path: path.write_bytes(change(path.read_bytes()))


def array(change: Callable[[np.ndarray], np.ndarray]) -> Break:
    return lambda path: np.save(path, change(np.load(path)), allow_pickle=True)


def put(place: object, value: float) -> Break:
    def change(values: np.ndarray) -> np.ndarray:
        values[place] = value
        return values

    return array(change)


def replaced(make: Callable[[Path], object]) -> Break:
    def change(path: Path) -> None:
        path.unlink()
        make(path)

    return change


def sparse(first: bytes, size: int) -> Break:
    def change(path: Path) -> None:
        path.write_bytes(first)
        os.truncate(path, size)

    return change


OF_ANY_FILE: dict[str, Break] = {
    "empty": written(b""),
    "a folder": replaced(Path.mkdir),
    "a link to itself": replaced(lambda path: path.symlink_to(path.name)),
    "a link to nothing": replaced(lambda path: path.symlink_to("nothing")),
    "a pipe": replaced(os.mkfifo),
    "an endless device": replaced(lambda path: path.symlink_to("/dev/zero")),
    "random bytes": written(np.random.default_rng(0).bytes(5000)),
}
OF_ANY_ARRAY: dict[str, Break] = {
    "cut in its header": changed(lambda content: content[:40]),
    "cut in its values": changed(lambda content: content[:-3]),
    "a byte too long": changed(lambda content: content + b"\0"),
    "of another magic": changed(lambda content: b"\x93NUMPX" + content[6:]),
    "of another version": changed(lambda content: content[:6] + b"\x07\x00" + content[8:]),
    "a zip": written(b"PK\x03\x04" + bytes(200)),
    "of whole numbers": array(lambda values: values.astype(np.int64)),
    "of objects": array(lambda values: values.astype(object)),
    "complex": array(lambda values: values.astype(np.complex64)),
    "in another byte order": array(lambda values: values.astype(">f4")),
    "in Fortran order": array(np.asfortranarray),
    "of an axis more": array(lambda values: values[..., None]),
    "without rows": array(lambda values: values[:0]),
    "a row short": array(lambda values: values[:-1]),
    "of 10^12 rows": written(header((10**12, 36, 2048)) + bytes(4096)),
    "of 10^30 rows": written(header((10**30, 4, 10)) + bytes(4096)),
    "of negative rows": written(header((-12, 4, 10)) + bytes(4096)),
    "with a header that claims 4 GB": written(b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(100)),
    "with a header that is a program": written(
        b"\x93NUMPY\x01\x00\x40\x00" + b"__import__('os').system('touch hacked')".ljust(63) + b"\n"
    ),
    "with a header of brackets": written(b"\x93NUMPY\x01\x00\x00\x20" + b"(" * 8192),
    "NaN": put((3, 1), np.nan),
    "infinite": put((11, 0), -np.inf),
}
OF_FEATURES: dict[str, Break] = {
    "of another number of images": array(lambda values: np.concatenate([values, values])),
    "of an image of zeros": put(5, 0.0),
    "of a billion values an image": sparse(header((12, 1, 2**30)), len(header((12, 1, 2**30))) + 48 * 2**30),
}
OF_BOXES: dict[str, Break] = {
    "as x y w h beyond the image": put((2, 1, 2), 300.0),
    "without area": put((2, 1, 2), 0.0),
    "of other regions": array(lambda values: values[:, 1:]),
}
OF_SIZES: dict[str, Break] = {"of zero": put((4, 0), 0.0), "negative": put((4, 1), -5.0)}
OF_CAPTIONS: dict[str, Break] = {
    "in UTF-16": changed(lambda content: content.decode().encode("utf-16")),
    "with a byte that is no UTF-8": changed(lambda content: content.replace(b"dogs", b"d\xffgs")),
    "a line short": changed(lambda content: content[: content[:-1].rindex(b"\n") + 1]),
    "with an empty line": changed(lambda content: content.replace(b"\n", b"\n\n", 1)),
    "with Windows line ends and an empty line": changed(lambda content: content.replace(b"\n", b"\r\n") + b"\r\n"),
    "of bytes objects": changed(lambda content: b"".join(b"b'%s'\n" % line for line in content.splitlines())),
    "one line of 100 MB": written(b"dog " * (25 * 2**20)),
    "of 10 GB": sparse(b"a dog\n", 10 * 2**30),
    "of zeros": written(bytes(10**6)),
    "of words only": written(b"a\n" * (3 * 10**6 + 1)),
    "of line feeds": written(b"\n" * 10**6),
}
OF_IDS: dict[str, Break] = {
    "too few": written(b"1\n2\n"),
    "doubled": written(b"7\n" + b"".join(b"%d\n" % number for number in range(1, 11)) + b"7\n"),
    "in no UTF-8": written(b"\xff\xfe\n" * 12),
    "empty": written(b""),
    "of one endless line": written(b"1" * 10**6),
}
FILES: dict[str, dict[str, Break]] = {
    "train_ims.npy": OF_ANY_FILE | OF_ANY_ARRAY | OF_FEATURES,
    "dev_boxes.npy": OF_ANY_FILE | OF_ANY_ARRAY | OF_BOXES,
    "test_img_sizes.npy": OF_ANY_FILE | OF_ANY_ARRAY | OF_SIZES,
    "test_caps.txt": OF_ANY_FILE | OF_CAPTIONS,
    "train_ids.txt": OF_IDS,
}
BAD = [(file, kind) for file, kinds in FILES.items() for kind in kinds]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """train 12, dev 12, test 12 images with ids."""
    root = write_scan_folder(tmp_path / "scan", dict.fromkeys(SPLITS, 12))
    for first, split in enumerate(SPLITS):
        (root / f"{split}_ids.txt").write_text("".join(f"{100 * first + row}\n" for row in range(12)))
    return root


def tokenizer() -> WordTokenizer:
    words = f"{' '.join(CAPTIONS)} very number . {' '.join(map(str, range(36)))}"
    return WordTokenizer(Vocabulary.build([words], minimum_count=1))


def trained_on(root: Path) -> None:
    """What train.py reads before its first step."""
    require_distinct_files([find_split(root, name) for name in SPLITS])
    module = RetrievalDataModule(root, tokenizer(), batch_size=4, boxes=True, seed=0)
    module.require_three_contents()


def inspected(root: Path) -> Inspection:
    found = Inspection(root, boxes=True, full=True)
    for name in SPLITS:
        found.split(name)
    found.together()
    return found


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


def test_real_data_have_no_errors(shared: Path) -> None:
    found = inspected(shared / "data" / "f8k_precomp")
    assert found.errors == 0
    assert found.usable(boxes=True)
    assert found.usable(boxes=False)
