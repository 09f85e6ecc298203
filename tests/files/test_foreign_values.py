"""Files of under a kilobyte that ask for hours, gigabytes or a terminal: refused at once, shown as text."""

from __future__ import annotations

import argparse
import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from selfalign.errors import UserError, printable, shown
from selfalign.files.nested_values import require_modest_values
from selfalign.files.pickled_opcodes import require_modest_pickle
from selfalign.files.plain_values import read_json, read_yaml
from selfalign.files.regular_files import open_regular
from selfalign.interop.original_checkpoint import read_original_checkpoint
from selfalign.interop.original_vocabulary import read_original_vocabulary
from selfalign.runs.checkpoint import read_checkpoint


def doubled_key(depth: int) -> bytes:
    """A pickle of {(((1,), (1,)), ...): 1}: 2^depth values to hash."""
    pairs = b"".join(b"h%ch%c\x86q%c" % (place, place, place + 1) for place in range(1, depth + 1))
    return b"\x80\x02}q\x00(K\x01\x85q\x01" + pairs + b"th\x00h%cK\x01s." % (depth + 1)


def doubled_list(depth: int) -> list[object]:
    value: list[object] = ["a"]
    for _ in range(depth):
        value = [value, value]
    return value


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", b"3")
    return file.getvalue()


def saved(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


CHECKPOINTS: dict[str, Callable[[], bytes]] = {
    "a pair of one pair twice, as a key": lambda: zipped(doubled_key(64)),
    "the same in the old format": lambda: doubled_key(64),
    "a list of one list twice, in the settings": lambda: saved({"selfalign": {"config": doubled_list(64)}}),
    "a list of one list twice, as the format": lambda: saved({"selfalign": {"format": doubled_list(64)}}),
    "a list that is deep": lambda: saved({"selfalign": json.loads("[" * 400 + "]" * 400)}),
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_a_checkpoint_that_repeats_itself_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    for name, read in (("x.ckpt", read_checkpoint), ("x.pth.tar", read_original_checkpoint)):
        (tmp_path / name).write_bytes(CHECKPOINTS[kind]())
        start = time.process_time()
        with pytest.raises(UserError, match="refused") as caught:
            read(tmp_path / name)
        assert time.process_time() - start < 5
        assert len(str(caught.value)) < 600


def test_a_vocabulary_that_repeats_itself_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "v.pkl").write_bytes(doubled_key(64))
    with pytest.raises(UserError, match="values within one"):
        read_original_vocabulary(tmp_path / "v.pkl")


def test_a_pickle_of_ordinary_size_is_modest() -> None:
    require_modest_pickle(doubled_key(10))
    with pytest.raises(ValueError, match="takes what it never made"):
        require_modest_pickle(b"\x80\x02h\x05.")


def test_shared_values_are_no_fault_and_circles_are() -> None:
    shared = [1, 2, 3]
    require_modest_values({"a": shared, "b": [shared, (shared, {"c": shared})]})
    require_modest_values(3)
    circle: dict[str, object] = {}
    circle["self"] = [circle]
    with pytest.raises(ValueError, match="holds itself"):
        require_modest_values(circle)
    with pytest.raises(ValueError, match="again and again"):
        require_modest_values([["x" * 2**20] * 2**10] * 2**10)
    with pytest.raises(ValueError, match="again and again"):
        require_modest_values(argparse.Namespace(x=doubled_list(40)))


def test_yaml_of_aliases_and_deep_json_are_refused_at_once(tmp_path: Path) -> None:
    lines = [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 64)]
    (tmp_path / "x.yaml").write_text("\n".join(["a0: &a0 [x, x]", *lines]))
    with pytest.raises(UserError, match="alias"):
        read_yaml(tmp_path / "x.yaml", "settings")
    (tmp_path / "x.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match="damaged"):
        read_json(tmp_path / "x.json", "settings")


LARGE: dict[str, object] = {
    "doubled": doubled_list(64),
    "long": "x" * 10**7,
    "a large number": 10**5000,
    "deep": {"a": {"b": {"c": {"d": {"e": {"f": {"g": {}}}}}}}},
    "coloured": "\x1b[31m",
}


@pytest.mark.parametrize("kind", LARGE)
def test_a_foreign_value_is_shown_in_a_few_words(kind: str) -> None:
    value = LARGE[kind]
    start = time.process_time()
    assert len(shown(value)) < 100
    assert shown(value).isprintable()
    assert time.process_time() - start < 1


def test_nothing_that_a_terminal_obeys_is_in_a_message() -> None:
    text = "a\x1b]0;title\x07\x1b[2J\r\n\tb \x9b31m \u202e\u2028c"
    for message in (printable(text), str(UserError(f"captions: {text}"))):
        assert message.isprintable()
    assert printable(text) == r"a\x1b]0;title\x07\x1b[2J  b \x9b31m \u202e c"
    assert printable("où sont 3 × 4 → 12 chiens 🐕") == "où sont 3 × 4 → 12 chiens 🐕"
    assert len(str(UserError("x" * 10**6))) < 2_100


def test_a_pointer_of_git_lfs_is_named_whatever_the_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(UserError, match="a git-lfs pointer, not the file itself; run git lfs pull"):
        open_regular(tmp_path / "x", "features")
