"""Untrusted files run nothing: what they ask for is named and refused, in one line."""

from __future__ import annotations

import argparse
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from selfalign.data.vocabulary import Vocabulary
from selfalign.errors import UserError
from selfalign.interop.original_checkpoint import read_original_checkpoint
from selfalign.interop.original_vocabulary import read_original_vocabulary

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
