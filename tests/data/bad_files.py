"""A good folder in SCAN's layout, every way to break one of its files, and who reads it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from selfalign.data.checks.inspection import Inspection
from selfalign.data.datamodule import RetrievalDataModule
from selfalign.data.layout import find_split, require_distinct_files
from selfalign.data.text.tokenizers import WordTokenizer
from selfalign.data.text.vocabulary import Vocabulary
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


def good_folder(place: Path) -> Path:
    """train 12, dev 12, test 12 images with ids."""
    root = write_scan_folder(place / "scan", dict.fromkeys(SPLITS, 12))
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
