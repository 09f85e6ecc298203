"""TSV → SCAN's layout: the right values in the right order, the same bytes after any kill, one line for bad files."""

from __future__ import annotations

import base64
import gzip
import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from selfalign.data.checks.checksums import checksum_findings
from selfalign.data.conversion.half_precision import to_float16
from selfalign.data.conversion.region_formats import REGION_FORMATS
from selfalign.data.conversion.regions_to_layout import RegionSources, RegionTarget, convert_regions
from selfalign.data.image_ids import read_image_ids
from selfalign.errors import UserError

REGIONS, WIDTH, IMAGES = 3, 5, 14
ARRAYS = ("ims", "boxes", "img_sizes")


def fields(image: int) -> list[bytes]:
    random = np.random.default_rng(image)
    boxes = np.sort(random.uniform(0, 50, (REGIONS, 4)).astype("<f4"), axis=1)
    features = random.standard_normal((REGIONS, WIDTH)).astype("<f4")
    packed = [base64.b64encode(values.tobytes()) for values in (boxes, features)]
    return [b"%d" % (900 + image), b"60", b"%d" % (50 + image), b"%d" % REGIONS, *packed]


def line(image: int) -> bytes:
    return b"\t".join(fields(image)) + b"\r\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files with images 0 to 9 and, packed, 10 to 15; ids of 14 of them in another order, five lines each."""
    (tmp_path / "a.tsv").write_bytes(b"".join(line(image) for image in range(10)))
    (tmp_path / "b.tsv.gz").write_bytes(gzip.compress(b"".join(line(image) for image in range(10, 16))))
    order = np.random.default_rng(3).permutation(IMAGES)
    (tmp_path / "ids.txt").write_text("".join(f"{900 + image}\n" * 5 for image in order))
    return tmp_path


def convert_tsv(sources: list[Path], folder: Path, root: str = "out", dtype: str = "float32") -> None:
    ids = folder / "ids.txt"
    images = read_image_ids(ids)
    target = RegionTarget(folder / root, "train", images, f"ids {ids}", (REGIONS, REGIONS), dtype=dtype)
    convert_regions(RegionSources(REGION_FORMATS[0], sources), target, lambda text: None)


def convert(folder: Path, **settings: str) -> None:
    convert_tsv([folder / "a.tsv", folder / "b.tsv.gz"], folder, **settings)


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir()}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_arrays_hold_the_images_in_the_order_of_the_ids(dtype: str, folder: Path) -> None:
    convert(folder, dtype=dtype)
    features, boxes, sizes = (np.load(folder / "out" / f"train_{name}.npy") for name in ARRAYS)
    assert features.dtype == dtype
    ids = (folder / "out" / "train_image_ids.txt").read_text().split()
    assert ids == (folder / "ids.txt").read_text().split()[::5]
    for row, identity in enumerate(ids):
        _, width, height, _, wanted_boxes, wanted = fields(int(identity) - 900)
        values = np.frombuffer(base64.b64decode(wanted), "<f4").reshape(REGIONS, WIDTH)
        np.testing.assert_array_equal(features[row], values.astype(dtype))
        np.testing.assert_array_equal(boxes[row].tobytes(), base64.b64decode(wanted_boxes))
        assert sizes[row].tolist() == [float(width), float(height)]
    assert not list((folder / "out").glob("*partial"))


def test_checksums_are_those_that_sha256sum_checks(folder: Path) -> None:
    convert(folder)
    for entry in (folder / "out" / "SHA256SUMS").read_text().splitlines():
        value, name = entry.split("  ")
        assert hashlib.sha256((folder / "out" / name).read_bytes()).hexdigest() == value
    assert {finding.level for finding in checksum_findings(folder / "out")} == {"ok"}
    content = bytearray((folder / "out" / "train_ims.npy").read_bytes())
    content[-1] ^= 1
    (folder / "out" / "train_ims.npy").write_bytes(content)
    errors = [finding.text for finding in checksum_findings(folder / "out") if finding.level == "error"]
    assert len(errors) == 1
    assert "train_ims.npy is not what was written" in errors[0]


@pytest.mark.parametrize("entry", ["0" * 64 + "  ../secret", "0" * 64 + "  /etc/passwd", "no checksum", "\x00"])
def test_checksums_name_files_of_their_folder_only(entry: str, tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_text(entry + "\n")
    (finding,) = checksum_findings(tmp_path)
    assert finding.level == "error"
    assert "line 1" in finding.text


KILLED = """
import os, signal, sys
from pathlib import Path
from selfalign.data.conversion import feature_files, journal, region_formats, regions_to_layout
count = 0
def counted(function):
    def killing(*arguments):
        global count
        count += 1
        if count == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)
    return killing
for name in ("write", "flush", "finish"):
    setattr(feature_files.ArrayFile, name, counted(getattr(feature_files.ArrayFile, name)))
journal.Journal.note = counted(journal.Journal.note)
regions_to_layout.write_checksums = counted(regions_to_layout.write_checksums)
regions_to_layout._IMAGES_A_NOTE = 4
folder = Path(sys.argv[1])
images = (folder / "ids.txt").read_text().split()[::5]
target = regions_to_layout.RegionTarget(folder / "killed", "train", images, "ids", (3, 3))
sources = regions_to_layout.RegionSources(region_formats.REGION_FORMATS[0], [folder / "a.tsv", folder / "b.tsv.gz"])
regions_to_layout.convert_regions(sources, target, lambda text: None)
"""


@pytest.mark.parametrize("moment", [1, 8, 14, 17, 40, 66, 67, 68, 69])
def test_killed_at_any_moment_and_started_again_it_makes_the_same_bytes(moment: int, folder: Path) -> None:
    convert(folder)
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder), str(moment)], capture_output=True)
    assert done.returncode == -9, done.stderr.decode()
    assert contents(folder / "killed") != contents(folder / "out")
    convert(folder, root="killed")
    assert contents(folder / "killed") == contents(folder / "out")


def test_what_is_there_is_not_read_again(folder: Path) -> None:
    both = [folder / "a.tsv", folder / "b.tsv.gz"]
    with pytest.raises(UserError, match="4 of 14 images are in none of the sources"):
        convert_tsv(both[:1], folder)
    content = (folder / "a.tsv").read_bytes()
    (folder / "a.tsv").write_bytes(b"#" * len(content))  # the same size: the journal says that it was read
    convert_tsv(both, folder)
    (folder / "a.tsv").write_bytes(content)
    convert(folder, root="whole")
    assert contents(folder / "out") == contents(folder / "whole")


def test_an_unfinished_conversion_with_other_settings_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="none of the sources"):
        convert_tsv([folder / "a.tsv"], folder)
    with pytest.raises(UserError, match="another dtype"):
        convert(folder, dtype="float16")
    for path in (folder / "out").glob("*.npy.partial"):
        path.unlink()
    with pytest.raises(UserError, match="is gone"):
        convert(folder)


def test_files_that_are_there_are_not_overwritten(folder: Path) -> None:
    convert(folder)
    before = contents(folder / "out")
    with pytest.raises(UserError, match="exists already"):
        convert(folder)
    assert contents(folder / "out") == before


def with_field(number: int, value: bytes) -> bytes:
    values = fields(4)
    values[number] = value
    return b"\t".join(values) + b"\n"


BAD_LINES = {
    "35 boxes": (with_field(3, b"35"), "boxes has 48 bytes, no float32 of 35 boxes"),
    "no number": (with_field(1, b"wide"), "image_w is 'wide'"),
    "a negative size": (with_field(2, b"-5"), "image_h"),
    "an endless number": (with_field(2, b"9" * 5000), "image_h"),
    "no base64": (with_field(5, b"!!!!"), "features is not base64"),
    "half of the features": (with_field(5, base64.b64encode(bytes(30))), "features has 30 bytes"),
    "bytes as text": (with_field(4, b"b'" + fields(4)[4] + b"'"), "boxes is the text of a bytes object"),
    "NaN": (with_field(5, base64.b64encode(np.full(15, np.nan, "<f4").tobytes())), "not finite"),
    "a field too few": (b"\t".join(fields(4)[:5]) + b"\n", "has 5 fields"),
    "a field too many": (b"\t".join([*fields(4), b"x"]) + b"\n", "has 7 fields"),
    "no fields": (b"\n", "has 1 fields"),
    "no id": (with_field(0, b""), "image_id"),
    "an id of another encoding": (with_field(0, b"\xff\xfe"), "image_id"),
    "no line end": (b"A" * (17 * 2**20), "more than"),
    "the same image with other values": (line(3) + with_field(0, b"903"), "stands in the sources twice"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_is_named(name: str, folder: Path) -> None:
    bad, message = BAD_LINES[name]
    content = (folder / "a.tsv").read_bytes()
    (folder / "a.tsv").write_bytes(content[: len(line(0) + line(1))] + bad)
    with pytest.raises(UserError, match=message) as caught:
        convert(folder)
    assert "\n" not in str(caught.value)
    assert "line 3" in str(caught.value) or "line 4" in str(caught.value)
    assert not (folder / "out" / "train_ims.npy").exists()


BAD_FILES: dict[str, Callable[[Path], object]] = {
    "missing": lambda folder: (folder / "b.tsv.gz").unlink(),
    "cut": lambda folder: (folder / "b.tsv.gz").write_bytes((folder / "b.tsv.gz").read_bytes()[:-40]),
    "not packed": lambda folder: (folder / "b.tsv.gz").write_bytes(b"plain"),
    "damaged": lambda folder: (folder / "b.tsv.gz").write_bytes((folder / "b.tsv.gz").read_bytes()[:30] + bytes(200)),
    "zeros that unpack to gigabytes": lambda folder: (folder / "b.tsv.gz").write_bytes(
        gzip.compress(bytes(32 * 2**20)) * 100
    ),
    "no ids": lambda folder: (folder / "ids.txt").write_bytes(b""),
    "doubled ids": lambda folder: (folder / "ids.txt").write_bytes(b"900\n901\n900\n"),
    "a folder": lambda folder: ((folder / "b.tsv.gz").unlink(), (folder / "b.tsv.gz").mkdir()),
    "a damaged journal": lambda folder: (
        (folder / "out").mkdir(),
        (folder / "out" / "train_conversion.partial").write_bytes(b"{\n"),
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_one_line(name: str, folder: Path) -> None:
    BAD_FILES[name](folder)
    with pytest.raises(UserError) as caught:
        convert(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_an_image_that_stands_twice_with_the_same_values_is_fine(folder: Path) -> None:
    convert(folder)
    (folder / "a.tsv").write_bytes((folder / "a.tsv").read_bytes() + line(2) + line(2))
    convert(folder, root="again")
    assert contents(folder / "again") == contents(folder / "out")


def test_values_too_large_for_float16_are_refused(folder: Path) -> None:
    large = base64.b64encode(np.full(15, 70000, "<f4").tobytes())
    (folder / "a.tsv").write_bytes(with_field(5, large))
    with pytest.raises(UserError, match=r"image 904.*70000 does not fit into float16"):
        convert(folder, dtype="float16")


def test_float16_of_features_reports_its_largest_rounding_error(tmp_path: Path) -> None:
    values = np.ones((4, 2, 3), np.float32)
    values[1, 1, 1] = 2049.0  # float16 has 2048 and 2050
    np.save(tmp_path / "x_ims.npy", values)
    rounding = to_float16(tmp_path / "x_ims.npy", tmp_path / "half.npy")
    assert (rounding.images, rounding.largest) == (4, 1.0)
    assert rounding.relative == pytest.approx(1 / 2049)
    np.testing.assert_array_equal(np.load(tmp_path / "half.npy"), values.astype(np.float16))
    assert {finding.level for finding in checksum_findings(tmp_path)} == {"ok"}


@pytest.mark.parametrize(("value", "message"), [(65520.0, "image 2: a value of 65520"), (np.nan, "image 2 has values")])
def test_features_that_do_not_fit_leave_nothing_behind(value: float, message: str, tmp_path: Path) -> None:
    values = np.ones((4, 2, 3), np.float32)
    values[2, 0, 0] = value
    np.save(tmp_path / "x_ims.npy", values)
    with pytest.raises(UserError, match=message):
        to_float16(tmp_path / "x_ims.npy", tmp_path / "half.npy")
    assert [path.name for path in tmp_path.iterdir()] == ["x_ims.npy"]
