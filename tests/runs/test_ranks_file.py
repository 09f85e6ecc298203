"""ranks.npz: what is written comes back, and whatever else lies there is refused in one line."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from selfalign.errors import UserError
from selfalign.metrics.protocols import evaluate
from selfalign.runs.ranks_file import NAME, fingerprint, read_ranks, save_ranks
from selfalign.runs.reading import read_run
from tests.runs.made_runs import IMAGES, ranked, write_run


def test_ranks_come_back_as_they_were(tmp_path: Path) -> None:
    result = ranked(1, 0.6)
    found = read_ranks(write_run(tmp_path / "run", results=[result]) / NAME)
    np.testing.assert_array_equal(found.protocols["full"].i2t, result.ranks.i2t.numpy())
    np.testing.assert_array_equal(found.protocols["full"].t2i, result.ranks.t2i.numpy())
    np.testing.assert_array_equal(found.image_of_caption, np.arange(5 * IMAGES) // 5)
    assert not list(tmp_path.rglob("*.partial"))


def test_images_without_captions_are_no_queries_and_figures_agree_to_the_last_digit(tmp_path: Path) -> None:
    """Three images; the one in the middle and the last have no caption."""
    scores = torch.tensor([[0.9, 0.2, 0.1], [0.3, 0.6, 0.8], [0.1, 0.4, 0.2], [0.0, 0.0, 0.0]])
    owners = torch.tensor([2, 0, 0])
    result = evaluate(lambda rows, columns: scores[rows, columns], owners, 4)
    assert result.to_dict()["image_queries"] == 2
    path = tmp_path / NAME
    save_ranks([result], owners, ["a", "b", "c"], path)
    found = read_ranks(path)
    assert found.image_of_caption.tolist() == [1, 0, 0]
    assert found.protocols["full"].i2t.tolist() == [2, 3]
    assert found.protocols["full"].t2i.tolist() == [3, 3, 3]
    run = read_run(write_run(tmp_path / "run", results=[result], texts=["a", "b", "c"], owners=owners))
    assert run.captions_per_image.tolist() == [2, 1]
    assert run.protocols["full"].figures["i2t_r1"] == result.i2t.r1 == 0
    assert run.protocols["full"].figures["i2t_r5"] == result.i2t.r5 == 100


def test_a_fingerprint_tells_captions_their_order_and_their_images_apart() -> None:
    marks = [
        fingerprint(["a b", "c"], [0, 1]),
        fingerprint(["c", "a b"], [0, 1]),
        fingerprint(["a b", "c"], [0, 0]),
        fingerprint(["a", "b c"], [0, 1]),
    ]
    assert len(set(marks)) == 4
    assert fingerprint(["a b", "c"], [0, 1]) == marks[0]


def members(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def zipped(content: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, values in content.items():
            archive.writestr(name, values)
    return stream.getvalue()


def npy(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


PROMISE = (
    b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<i4', 'fortran_order': False, 'shape': (9000000000,), }".ljust(117) + b"\n"
)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"full.i2t": np.zeros(IMAGES, np.int32)}, "from 1 to"),
        ({"full.i2t": np.full(IMAGES, 10_000, np.int32)}, "from 1 to"),
        ({"full.t2i": np.ones(7, np.int32)}, "expected 300 integers"),
        ({"full.t2i": np.ones(5 * IMAGES)}, "float64"),
        ({"image_of_caption": np.full(5 * IMAGES, 3, np.int32)}, "images without captions"),
        ({"queries": np.array("nonsense")}, "fingerprint"),
        ({"full.i2t": np.array([{"a": 1}], object)}, "object"),
        ({"more": np.ones(3, np.int32)}, "no protocol"),
    ],
)
def test_values_that_no_evaluation_gives_are_refused(
    tmp_path: Path, change: dict[str, np.ndarray], reason: str
) -> None:
    path = write_run(tmp_path / "run") / NAME
    content = {f"{name}.npy": npy(values) for name, values in (members(path) | change).items()}
    path.write_bytes(zipped(content))
    with pytest.raises(UserError, match=reason) as caught:
        read_ranks(path)
    assert "\n" not in str(caught.value)
    assert "damaged" in str(caught.value)


def test_a_file_that_is_no_archive_of_ranks_is_refused(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run") / NAME
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    good = {f"{name}.npy": npy(values) for name, values in members(path).items()}
    contents = [b"", b"PK", whole[: len(whole) // 2], bytes(flipped), zipped({}), zipped({"x.npy": b"\x80\x02."})]
    contents += [zipped(good, zipfile.ZIP_DEFLATED), zipped(good | {"full.i2t.npy": PROMISE})]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(UserError, match="damaged"):
            read_ranks(path)
    path.write_bytes(zipped(good))
    read_ranks(path)
    path.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        read_ranks(path)
