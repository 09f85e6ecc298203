"""Untrusted files run nothing: what they ask for is named and refused, in one line."""

from __future__ import annotations

import argparse
import io
import os
import pickle
import resource
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from selfalign.data.text.vocabulary import Vocabulary
from selfalign.engine.building import build_module, build_tokenizer
from selfalign.engine.evaluation import evaluate_checkpoints
from selfalign.errors import UserError
from selfalign.interop.original_checkpoint import read_original_checkpoint
from selfalign.interop.original_vocabulary import read_original_vocabulary
from selfalign.runs.checkpoint import Provenance, read_checkpoint
from tests.configs.test_composition import TINY, composed
from tests.conftest import write_scan_folder

WORDS = {"<pad>": 0, "<start>": 1, "<end>": 2, "<unk>": 3, "dog": 4}


class Asks:
    """Pickles into a call of ``function`` with ``arguments``."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.call


def hostile(target: Path) -> dict[str, object]:
    import os

    touch = f"touch {target}"
    return {
        "os.system": Asks(os.system, touch),
        "builtins.eval": Asks(eval, f"open({str(target)!r}, 'w')"),
        "subprocess": Asks(subprocess.check_call, ["touch", str(target)]),
        "nested": {"word2idx": [{"deep": Asks(os.system, touch)}]},
    }


KINDS = ("os.system", "builtins.eval", "subprocess", "nested")


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_vocabulary_runs_nothing(kind: str, protocol: int, tmp_path: Path) -> None:
    target = tmp_path / "hacked"
    path = tmp_path / "vocab.pkl"
    path.write_bytes(pickle.dumps(hostile(target)[kind], protocol=protocol))
    with pytest.raises(UserError, match=r"refused|no pickled") as caught:
        read_original_vocabulary(path)
    assert "\n" not in str(caught.value)
    assert not target.exists()
    if kind in ("os.system", "subprocess"):  # negative control: the pickle would have done it
        pickle.loads(path.read_bytes())
        assert target.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_checkpoint_runs_nothing(kind: str, tmp_path: Path) -> None:
    target, path = tmp_path / "hacked", tmp_path / "model.pth.tar"
    for legacy in (False, True):
        torch.save({"model": [hostile(target)[kind]]}, path, _use_new_zipfile_serialization=not legacy)
        with pytest.raises(UserError, match="refused") as caught:
            read_original_checkpoint(path)
        assert "\n" not in str(caught.value)
        assert not target.exists()


@pytest.mark.parametrize(
    "content", [b"", b"\x80", b"not a pickle", pickle.dumps([1, 2]), pickle.dumps({"word2idx": WORDS})]
)
def test_what_is_no_vocabulary_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "vocab.pkl").write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_original_vocabulary(tmp_path / "vocab.pkl")
    assert "\n" not in str(caught.value)


def python_2_pickle(module: str) -> bytes:
    """What Python 2's protocol 0 writes for an instance of a new-style class."""
    items = "".join(f"S'{word}'\nI{index}\ns" for word, index in WORDS.items())
    return (
        f"ccopy_reg\n_reconstructor\n(c{module}\nVocabulary\nc__builtin__\nobject\nNtR(dS'word2idx'\n(d{items}sb."
    ).encode()


@pytest.mark.parametrize("module", ["__main__", "vocab"])
def test_vocabularies_of_python_2_are_read(module: str, tmp_path: Path) -> None:
    path = tmp_path / "vocab.pkl"
    path.write_bytes(python_2_pickle(module))
    assert read_original_vocabulary(path).ids == WORDS


def test_a_truncated_vocabulary_is_refused(tmp_path: Path) -> None:
    whole = python_2_pickle("vocab")
    for size in range(0, len(whole) - 1, 7):
        (tmp_path / "vocab.pkl").write_bytes(whole[:size])
        with pytest.raises(UserError):
            read_original_vocabulary(tmp_path / "vocab.pkl")


def test_a_vocabulary_becomes_json(tmp_path: Path) -> None:
    (tmp_path / "vocab.pkl").write_bytes(python_2_pickle("vocab"))
    vocabulary = read_original_vocabulary(tmp_path / "vocab.pkl")
    vocabulary.save(tmp_path / "vocab.json")
    assert Vocabulary.load(tmp_path / "vocab.json").ids == WORDS


@pytest.mark.parametrize(
    "content",
    [{}, {"model": []}, {"model": [{}, {}]}, {"model": [{"x.weight": torch.ones(1)}, {}], "opt": argparse.Namespace()}],
)
def test_a_checkpoint_of_another_model_is_refused(content: dict[str, Any], tmp_path: Path) -> None:
    torch.save(content, tmp_path / "model.pth.tar")
    with pytest.raises(UserError, match="model"):
        read_original_checkpoint(tmp_path / "model.pth.tar")


def zipped(records: dict[str, bytes], packed: bool) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, content in records.items():
            archive.writestr(f"archive/{name}", content)
    return file.getvalue()


def claiming(count: int) -> bytes:
    """A file of one tensor that claims another number of values."""
    file = io.BytesIO()
    torch.save({"selfalign": torch.ones(0x12345)}, file)
    with zipfile.ZipFile(file) as archive:
        records = {name.removeprefix("archive/"): archive.read(name) for name in archive.namelist()}
    records["data.pkl"] = records["data.pkl"].replace(b"J\x45\x23\x01\x00", b"\x8a\x06" + count.to_bytes(6, "little"))
    assert count.to_bytes(6, "little") in records["data.pkl"]  # the test's own doing
    return zipped(records, packed=False)


def old_format(storage_bytes: int) -> bytes:
    """A file of torch's old format whose only storage claims a size."""
    file = io.BytesIO()
    torch.save({"selfalign": torch.ones(0x12345)}, file, _use_new_zipfile_serialization=False)
    content = file.getvalue()
    return content.replace(b"J\x45\x23\x01\x00", b"\x8a\x06" + storage_bytes.to_bytes(6, "little"))


def deep_key() -> bytes:
    return b"\x80\x02}" + b")" + b"\x85" * 400_000 + b"K\x01s."


def repeated() -> bytes:
    file = io.BytesIO()
    torch.save({"state_dict": {"a": torch.ones(1).expand(10**12)}, "selfalign": {}}, file)
    return file.getvalue()


GREEDY = {
    "packed": lambda: zipped({"data.pkl": b"\x80\x02" + b"N0" * 10**7 + b"N.", "version": b"3"}, packed=True),
    "a pickle of 200 MB": lambda: zipped({"data.pkl": bytes(200 * 2**20), "version": b"3"}, packed=False),
    "a tensor of terabytes": lambda: claiming(10**12),
    "a tensor of terabytes in the old format": lambda: old_format(10**12),
    "a tensor of 16 GB in the old format": lambda: old_format(4 * 10**9),
    "a tensor that repeats one value": repeated,
    "a key that is nested too deeply": lambda: zipped({"data.pkl": deep_key(), "version": b"3"}, packed=False),
    "a key that is nested too deeply in the old format": deep_key,
    "a place in memory of 16 GB": lambda: b"\x80\x04)r\xff\xff\xff\x7f.",
    "a tar": lambda: b"pickle".ljust(257, b"\0") + b"ustar".ljust(255, b"\0"),
}


@pytest.mark.parametrize("kind", GREEDY)
def test_a_small_file_that_asks_for_much_is_refused(kind: str, tmp_path: Path) -> None:
    for name, read in (("x.ckpt", read_checkpoint), ("x.pth.tar", read_original_checkpoint)):
        (tmp_path / name).write_bytes(GREEDY[kind]())
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(UserError, match="refused") as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # KB


@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a device", "a link to itself", "missing"])
def test_what_is_no_file_is_refused(kind: str, tmp_path: Path) -> None:
    for read in (read_checkpoint, read_original_checkpoint, read_original_vocabulary, Vocabulary.load):
        path = tmp_path / read.__qualname__
        if kind == "a folder":
            path.mkdir()
        elif kind == "a pipe":
            os.mkfifo(path)
        elif kind != "missing":
            path.symlink_to("/dev/zero" if kind == "a device" else path)
        with pytest.raises(UserError) as caught:
            read(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("config", "backbone", "width"), 10**9),
        (("config", "backbone", "word_width"), 10**12),
        (("config", "loss", "concept", "prototypes"), 10**12),
        (("region_width",), 10**12),
        (("bert",), {"model_type": "bert", "num_hidden_layers": 10**9}),
    ],
)
def test_a_record_of_a_larger_model_than_its_weights_is_refused(
    place: tuple[str, ...], value: object, tmp_path: Path
) -> None:
    root = write_scan_folder(tmp_path / "data", {"train": 3})
    config = composed(
        "backbone=vsrn", "data=f8k", f"data.root={root}", "backbone.width=8", "loss.concept.prototypes=4", *TINY["vsrn"]
    )
    tokenizer = build_tokenizer(config, lambda text: None)
    module = build_module(config, 10, tokenizer)
    record = Provenance(config, 10, tokenizer.state(), None).to_dict()
    target = record
    for name in place[:-1]:
        target = target[name]
    target[place[-1]] = value
    torch.save({"state_dict": module.state_dict(), "selfalign": record}, tmp_path / "x.ckpt")
    strategy = {"accelerator": "cpu", "devices": 1}
    with pytest.raises(UserError, match=r"x\.ckpt: (weights do not fit|its record)") as caught:
        evaluate_checkpoints([tmp_path / "x.ckpt"], tmp_path, strategy=strategy)
    assert "\n" not in str(caught.value)
