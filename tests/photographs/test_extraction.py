"""A folder of photographs becomes SCAN's layout: what check and training read, the same bytes after any kill."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from selfalign.data.checks.checksums import checksum_findings
from selfalign.data.checks.rules import split_findings
from selfalign.data.images import images_in_memory, images_on_disk
from selfalign.data.layout import find_split
from selfalign.data.photographs import Photos
from selfalign.data.regions.features import RegionFeatures
from selfalign.data.regions.positions import open_positions
from selfalign.data.text.captions import read_captions
from selfalign.errors import UserError
from selfalign.photographs import Extractor, Regions
from selfalign.photographs.extraction import Source, extract_split
from selfalign.photographs.listing import list_photographs
from selfalign.photographs.pairing import PhotographSplit, splits_without_captions
from tests.photographs.extracting import ARRAYS, NAMES, contents, run
from tests.photographs.tiny_models import save_detector, save_photograph, save_vit


def test_the_layout_is_what_check_and_training_read(
    photos: Path, model: Path, extractor: Extractor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    run(photos, out, model, "--captions", str(tmp_path / "captions.txt"))
    files = find_split(out, "train")
    texts = read_captions(files.captions)
    features = RegionFeatures(files.features)
    positions = open_positions(files, features, "pixels")
    findings = list(split_findings(files, texts, features, positions, full=True))
    assert {finding.level for finding in findings} == {"ok"}, findings
    assert {finding.level for finding in checksum_findings(out)} == {"ok"}
    values = [np.load(out / f"train_{kind}.npy") for kind in ARRAYS]
    assert [(array.dtype, array.shape) for array in values] == [
        (np.float32, shape) for shape in ((10, 36, 16), (10, 36, 4), (10, 2))
    ]
    assert (out / "train_images.txt").read_text(encoding="utf-8").split("\n")[:-1] == NAMES  # the captions' order
    assert texts[5:10] == [f"words {number} of 1" for number in range(5)]
    assert (out / "train_ids.txt").read_text(encoding="utf-8").split("\n")[:-1] == [n for n in NAMES for _ in range(5)]
    for row, name in enumerate(NAMES):
        found = extractor.regions(photos / name)
        np.testing.assert_array_equal(values[0][row], found.features)
        np.testing.assert_array_equal(values[1][row], found.boxes)
        assert tuple(values[2][row]) == found.size == (40 + row, 30)
        assert Photos(files, photos).read(row) is not None
    assert "wrote split train" in capsys.readouterr().out
    assert not [path for path in out.iterdir() if "partial" in path.name or "lock" in path.name]


def test_photographs_without_captions_are_sorted_and_serve_an_index_only(
    photos: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(photos, tmp_path / "out", model)
    assert (tmp_path / "out" / "train_images.txt").read_text(encoding="utf-8").split("\n")[:-1] == sorted(NAMES)
    assert not (tmp_path / "out" / "train_caps.txt").exists()
    assert "serve encode_images and a search, not training" in capsys.readouterr().out
    images = images_on_disk(tmp_path / "out", "train", boxes=True)
    assert (images.count, images.width) == (10, 16)
    batch = images.batch(np.array([3]))
    np.testing.assert_array_equal(batch.regions[0], np.load(tmp_path / "out" / "train_ims.npy")[3])
    with pytest.raises(UserError, match="no captions of split 'train'"):
        find_split(tmp_path / "out", "train")


def test_photographs_that_cannot_be_read_are_named_and_have_no_row(
    photos: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = tmp_path / "whole"
    run(photos, whole, model, "--captions", str(tmp_path / "captions.txt"))
    for name in (NAMES[0], NAMES[4]):
        (photos / name).write_bytes((photos / name).read_bytes()[:80])
    (photos / NAMES[7]).unlink()
    (photos / NAMES[7]).symlink_to(photos / NAMES[4])
    with pytest.raises(SystemExit, match=r"a\.png: damaged"):
        run(photos, tmp_path / "strict", model, "--strict", "--captions", str(tmp_path / "captions.txt"))
    run(photos, tmp_path / "out", model, "--captions", str(tmp_path / "captions.txt"))
    said = capsys.readouterr().out
    assert "passed over 3 photographs in all" in said
    assert all(name in said for name in (NAMES[0], NAMES[4], NAMES[7]))
    left = [row for row in range(10) if row not in (0, 4, 7)]
    for kind in ARRAYS:
        expected = np.load(whole / f"train_{kind}.npy")[left]
        np.testing.assert_array_equal(np.load(tmp_path / "out" / f"train_{kind}.npy"), expected)
    assert (tmp_path / "out" / "train_caps.txt").read_text().split("\n")[:2] == ["words 0 of 1", "words 1 of 1"]
    assert len((tmp_path / "out" / "train_skipped.txt").read_text(encoding="utf-8").splitlines()) == 3
    assert {finding.level for finding in checksum_findings(tmp_path / "out")} == {"ok"}


def test_strict_goes_on_after_the_photograph_was_taken_away(photos: Path, model: Path, tmp_path: Path) -> None:
    (photos / "h.png").write_bytes(b"")
    with pytest.raises(SystemExit, match=r"h\.png"):
        run(photos, tmp_path / "out", model, "--strict")
    (photos / "h.png").unlink()
    run(photos, tmp_path / "out", model, "--strict")
    run(photos, tmp_path / "whole", model)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_folder_of_nothing_readable_leaves_no_split(model: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"no photograph")
    with pytest.raises(SystemExit, match=r"none of 1 could be read; photograph .*a\.jpg"):
        run(tmp_path / "photos", tmp_path / "out", model)
    assert not list((tmp_path / "out").glob("train_*"))


def test_a_second_split_needs_the_same_extractor(photos: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(photos, out, model)
    before = contents(out)
    other = save_vit(tmp_path / "other", seed=1)
    for options in ((other,), (model, "--side", "64"), (model, "--detector", str(save_detector(tmp_path / "d")))):
        with pytest.raises(SystemExit, match="features of another extractor") as caught:
            run(photos, out, options[0], "--split", "dev", *map(str, options[1:]))
        assert "\n" not in str(caught.value)
    assert contents(out) == before
    run(photos, out, model, "--split", "dev")
    np.testing.assert_array_equal(np.load(out / "dev_ims.npy"), np.load(out / "train_ims.npy"))
    with pytest.raises(SystemExit, match="exists already"):
        run(photos, out, model)


class Wide(Extractor):
    """Half a megabyte of features for every photograph."""

    def __init__(self, extractor: Extractor) -> None:
        self.__dict__ |= vars(extractor) | {"width": 4096}

    def regions(self, photograph: object) -> Regions:
        return Regions(np.ones((36, 4096), np.float32), np.ones((36, 4), np.float32), (2, 2), 0)


def test_two_at_once_are_not_one(photos: Path, extractor: Extractor, tmp_path: Path) -> None:
    (split,) = splits_without_captions(list_photographs(photos), "train")

    def also(text: str) -> None:
        """Called in the middle of the first."""
        raise AssertionError(text)

    class Second(Wide):
        def regions(self, photograph: object) -> Regions:
            extract_split(Source(photos), split, extractor, tmp_path / "out", also)
            return super().regions(photograph)

    with pytest.raises(UserError, match="another process extracts split train"):
        extract_split(Source(photos), split, Second(extractor), tmp_path / "out", also)


def test_a_detector_s_photographs_with_few_boxes_are_counted(
    photos: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = save_detector(tmp_path / "detector", boxes=3)
    run(photos, tmp_path / "out", model, "--detector", str(found), "--least-score", "0")
    assert "10 photographs with fewer than 36 detections; windows fill up" in capsys.readouterr().out
    record = json.loads((tmp_path / "out" / "extractor.json").read_text())
    assert record["extractor"]["detector"] == str(found)
    assert set(record["versions"]) >= {"selfalign", "torch", "transformers", "pillow"}


def test_memory_does_not_grow_with_the_photographs(photos: Path, extractor: Extractor, tmp_path: Path) -> None:
    def peak(times: int) -> int:
        split = PhotographSplit("train", tuple(NAMES) * times)
        tracemalloc.start()
        extract_split(Source(photos), split, Wide(extractor), tmp_path / str(times), lambda text: None)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(2)  # what is imported at first use
    assert peak(6) < peak(1) + 2 * 2**20  # features of 50 photographs more are 29 MB


def test_the_page_s_lines_of_python_run(
    photos: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "photographs.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    save_photograph(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    given: dict[str, object] = {}
    retriever = SimpleNamespace(encode_images=lambda regions, **options: given.update(options, regions=regions))
    names: dict[str, object] = {"model": retriever}
    exec(code.replace("efficientnet-lite0", str(model)), names)  # the page's own lines, with a model of the tests
    assert images_in_memory(given["regions"], given["boxes"], given["sizes"]).width == 16
    assert names["size"] == (60, 40)


def test_help_comes_without_torch(tmp_path: Path) -> None:
    program = """
import atexit, sys
atexit.register(lambda: print("torch" in sys.modules))
sys.argv[1:] = ["extract", "--help"]
from selfalign.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0
    assert "--captions FILE" in done.stdout
    assert done.stdout.rstrip().endswith("False")
