"""Whatever a file holds, a loader reads it or says in one line why not.

``SELFALIGN_FUZZ_EXAMPLES=20000 python -m pytest tests/fuzzing`` tries more, at random.
"""

from __future__ import annotations

import io
import json
import os
import pickletools
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from selfalign.data.checks.checksums import checksum_findings
from selfalign.data.image_ids import read_image_ids
from selfalign.data.regions.disk_array import DiskArray
from selfalign.data.text.captions import read_captions
from selfalign.data.text.vocabulary import Vocabulary
from selfalign.engine.building import build_module, build_tokenizer
from selfalign.engine.evaluation import evaluate_checkpoints
from selfalign.errors import UserError
from selfalign.interop.original_checkpoint import read_original_checkpoint
from selfalign.interop.original_vocabulary import read_original_vocabulary
from selfalign.runs.checkpoint import Provenance, read_checkpoint
from tests.configs.test_composition import TINY, composed
from tests.conftest import write_scan_folder
from tests.data.bad_files import header
from tests.data.test_conversion import convert_tsv, fields, line

EXAMPLES = int(os.environ.get("SELFALIGN_FUZZ_EXAMPLES", "100"))


def fuzzed(share: float = 1.0) -> settings:
    return settings(
        max_examples=max(1, int(EXAMPLES * share)),
        deadline=None,
        database=None,
        derandomize="SELFALIGN_FUZZ_EXAMPLES" not in os.environ,
        suppress_health_check=list(HealthCheck),
    )


def damaged(*originals: bytes) -> st.SearchStrategy[bytes]:
    """Random bytes, and the originals with bytes changed, put in, left out, repeated or cut off."""
    edit = st.tuples(st.floats(0, 1), st.sampled_from("xidrc"), st.binary(min_size=1, max_size=12))

    def apply(original: bytes, edits: list[tuple[float, str, bytes]]) -> bytes:
        content = bytearray(original)
        for share, kind, new in edits:
            place = int(share * len(content))
            if kind == "x":
                content[place : place + len(new)] = new
            elif kind == "i":
                content[place:place] = new
            elif kind == "d":
                del content[place : place + len(new)]
            elif kind == "r":
                content[place:place] = content[place : place + 64] * len(new)
            else:
                del content[place:]
        return bytes(content)

    whole = st.builds(apply, st.sampled_from(originals), st.lists(edit, min_size=1, max_size=6))
    return st.one_of(st.binary(max_size=300), whole)


def refusal(read: Callable[[], object]) -> str | None:
    """What a reader refuses; any other exception is a bug."""
    try:
        read()
    except UserError as error:
        return str(error)
    return None


def reads_or_refuses(path: Path, content: bytes, read: Callable[[Path], object]) -> None:
    path.write_bytes(content)
    reason = refusal(lambda: read(path))
    if reason is not None:
        assert "\n" not in reason
        assert str(path) in reason or "vocabulary" in reason


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


ARRAY = header((2, 3, 4)) + bytes(96)
HEADER_NAMES = ("'descr'", "'shape'", "'fortran_order'", "'<f4'", "'O'", "True", "None", "lambda", "L", "__import__")
HEADER_NUMBERS = ("1", "-1", "10**9", "1e400", "9999999999999999999")
HEADER_SIGNS = (":", ",", "(", ")", "{", "}", "[", "\\", "'", '"""', "#", "\n", "\t")
HEADER_WORDS = st.sampled_from((*HEADER_NAMES, *HEADER_NUMBERS, *HEADER_SIGNS))


@fuzzed()
@given(damaged(ARRAY, ARRAY[:60], b"\x93NUMPY\x02\x00" + ARRAY[8:]))
def test_arrays(place: Path, content: bytes) -> None:
    reads_or_refuses(place / "x.npy", content, lambda path: DiskArray(path, 3, "features").rows(np.arange(2)))


@fuzzed()
@given(st.lists(HEADER_WORDS, max_size=40).map(" ".join))
def test_array_headers(place: Path, text: str) -> None:
    for head in (text, f"{{'descr': '<f4', 'fortran_order': False, 'shape': {text}}}"):
        content = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode() + bytes(96)
        reads_or_refuses(place / "x.npy", content, lambda path: DiskArray(path, 3, "features"))


@fuzzed()
@given(st.one_of(damaged(b"a dog\nA caf\xc3\xa9 .\r\n", b"\xef\xbb\xbfa dog\n"), st.text().map(str.encode)))
def test_captions(place: Path, content: bytes) -> None:
    reads_or_refuses(place / "x_caps.txt", content, read_captions)


@fuzzed()
@given(damaged(b"1\n1\n1\n1\n1\n2\n2\n2\n2\n2\n", b"a.jpg\nb.jpg\n"))
def test_ids(place: Path, content: bytes) -> None:
    reads_or_refuses(place / "x_ids.txt", content, read_image_ids)


WORDS = {"<pad>": 0, "<start>": 1, "<end>": 2, "<unk>": 3, "dog": 4}
JSON = json.dumps({"tokenizer": "nltk_line", "ids": WORDS}).encode()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


@fuzzed()
@given(st.one_of(damaged(JSON), VALUES.map(lambda value: json.dumps({"ids": value, "tokenizer": value}).encode())))
@example(b"[" * 200_000)
@example(b"9" * 10_000)
def test_vocabularies(place: Path, content: bytes) -> None:
    reads_or_refuses(place / "v.json", content, Vocabulary.load)


@fuzzed()
@given(damaged(b"0" * 64 + b"  a\n", b"f" * 64 + b" *b\n"))
def test_checksum_files(place: Path, content: bytes) -> None:
    (place / "SHA256SUMS").write_bytes(content)
    assert all("\n" not in finding.text for finding in checksum_findings(place))


@fuzzed()
@given(damaged(line(0) + line(1), b"\t".join(fields(0))))
def test_tsv_files(place: Path, content: bytes) -> None:
    (place / "ids.txt").write_text("900\n901\n")

    def read(path: Path) -> None:
        for left in (place / "tsv").glob("*"):
            left.unlink()
        convert_tsv([path], place, "tsv")

    (place / "x.tsv").write_bytes(content)
    reason = refusal(lambda: read(place / "x.tsv"))
    assert reason is None or "\n" not in reason


def pickled_vocabulary() -> bytes:
    items = "".join(f"S'{word}'\nI{index}\ns" for word, index in WORDS.items())
    return (
        f"ccopy_reg\n_reconstructor\n(cvocab\nVocabulary\nc__builtin__\nobject\nNtR(dS'word2idx'\n(d{items}sb."
    ).encode()


OPCODES = st.lists(
    st.tuples(st.sampled_from([opcode.code for opcode in pickletools.opcodes]), st.binary(max_size=8)), max_size=30
).map(lambda steps: b"\x80\x04" + b"".join(code.encode("latin-1") + rest for code, rest in steps) + b".")


@fuzzed()
@given(st.one_of(damaged(pickled_vocabulary()), OPCODES))
@example(b"\x80\x04)r\xff\xff\xff\x7f.")  # a place in memory that takes 16 GB
@example(b"\x80\x02}" + b")" + b"\x85" * 400_000 + b"K\x01s.")  # a key that overflows the stack when it is hashed
@example(b"\x80\x05\x96\xff\xff\xff\xff\xff\x00\x00\x00.")  # a byte array of a terabyte
def test_pickled_vocabularies(place: Path, content: bytes) -> None:
    reads_or_refuses(place / "v.pkl", content, read_original_vocabulary)


@pytest.fixture(scope="module")
def checkpoint(place: Path) -> dict[str, Any]:
    """The content of a small checkpoint of ours."""
    root = write_scan_folder(place / "data", {"train": 3})
    config = composed(
        "backbone=vsrn", "data=f8k", f"data.root={root}", "backbone.width=8", "loss.concept.prototypes=4", *TINY["vsrn"]
    )
    tokenizer = build_tokenizer(config, lambda text: None)
    module = build_module(config, 10, tokenizer)
    return {
        "state_dict": module.state_dict(),
        "selfalign": Provenance(config, 10, tokenizer.state(), None).to_dict(),
    }


def saved(content: object, legacy: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


SMALL = {"state_dict": {"a.weight": torch.ones(3, 4), "b": torch.zeros(2)}, "selfalign": {"format": 1}}


@fuzzed()
@given(damaged(saved(SMALL), saved(SMALL, legacy=True)))
def test_checkpoint_files(place: Path, content: bytes) -> None:
    reads_or_refuses(place / "x.ckpt", content, read_checkpoint)
    reads_or_refuses(place / "x.pth.tar", content, read_original_checkpoint)


def repacked(pickle: bytes) -> bytes:
    """A checkpoint whose objects are another pickle, with right check sums."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved(SMALL))) as old, zipfile.ZipFile(file, "w") as new:
        for record in old.infolist():
            content = pickle if record.filename.endswith("data.pkl") else old.read(record)
            new.writestr(record.filename, content)
    return file.getvalue()


def objects() -> bytes:
    with zipfile.ZipFile(io.BytesIO(saved(SMALL))) as archive:
        return archive.read("archive/data.pkl")


@fuzzed()
@given(st.one_of(damaged(objects()), OPCODES))
@example(b"\x80\x02}" + b")" + b"\x85" * 400_000 + b"K\x01s.")
def test_checkpoint_objects(place: Path, pickle: bytes) -> None:
    reads_or_refuses(place / "x.ckpt", repacked(pickle), read_checkpoint)


def places_of(record: object, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if not isinstance(record, dict):
        return [above]
    return [above, *(place for name, value in record.items() for place in places_of(value, (*above, name)))]


ODD = st.sampled_from(
    [None, True, -1, 0, 1, 3, 7.5, float("nan"), 10**6, 10**12, 10**30, "", "camera", "x" * 99, [], {}]
)


@fuzzed(0.5)
@given(st.floats(0, 0.999), st.one_of(ODD, VALUES), st.booleans())
def test_checkpoint_records(place: Path, checkpoint: dict[str, Any], share: float, value: object, gone: bool) -> None:
    content = json.loads(json.dumps(checkpoint["selfalign"]))
    places = [where for where in places_of(content) if where and where[:2] != ("tokenizer", "vocabulary")]
    places += [("tokenizer", "vocabulary"), ("tokenizer", "vocabulary", "ids"), ("tokenizer", "vocabulary", "ids", "a")]
    *above, last = places[int(share * len(places))]
    record = content
    for name in above:
        record = record[name]
    if gone:
        record.pop(last, None)
    else:
        record[last] = value
    path = place / "record.ckpt"
    torch.save({"state_dict": checkpoint["state_dict"], "selfalign": content}, path)
    with pytest.raises(UserError) as caught:  # at the latest for the folder that is not there
        evaluate_checkpoints(
            [path], place, strategy={"accelerator": "cpu", "devices": 1}, data={"root": str(place / "nowhere")}
        )
    assert "\n" not in str(caught.value)
