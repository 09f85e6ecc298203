"""Interrupted, killed, damaged, changed: an extraction goes on with the same bytes in the end, or says why not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from selfalign.data.conversion.feature_files import ArrayFile
from selfalign.photographs import Extractor, extraction
from selfalign.photographs.extraction import Source, extract_split
from selfalign.photographs.journal import Journal
from selfalign.photographs.listing import list_photographs
from selfalign.photographs.pairing import splits_without_captions
from tests.photographs.extracting import contents, run
from tests.photographs.tiny_models import save_photograph, save_vit


class Killed(BaseException):
    """The process's end: nothing after it reaches the disk."""


class Death:
    """Everything that writes ends the process from a moment on, even what would tidy up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, moment: int, *, signal: bool = False) -> None:
        self._left, self._signal = moment, signal
        for name in ("write", "flush", "shorten", "finish"):
            monkeypatch.setattr(ArrayFile, name, self._counted(getattr(ArrayFile, name)))
        monkeypatch.setattr(Journal, "note", self._counted(Journal.note))
        monkeypatch.setattr(extraction, "write_whole", self._counted(extraction.write_whole))
        monkeypatch.setattr(extraction, "write_checksums", self._counted(extraction.write_checksums))

    def _counted(self, function: Callable[..., object]) -> Callable[..., object]:
        def dying(*arguments: object) -> object:
            self._left -= 1
            if self._left < 0 and self._signal:
                os.kill(os.getpid(), signal.SIGKILL)
            if self._left < 0:
                raise Killed
            return function(*arguments)

        return dying


@pytest.fixture
def _notes_of_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "_PHOTOGRAPHS_A_NOTE", 4)


@pytest.mark.usefixtures("_notes_of_four")
@pytest.mark.parametrize("moment", [0, 1, 10, 12, 13, 14, 30, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50])
def test_killed_at_any_moment_and_started_again_it_makes_the_same_bytes(
    moment: int, photos: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "b b.jpg").write_bytes(b"\xff\xd8\xff")
    run(photos, tmp_path / "whole", model)
    with monkeypatch.context() as patched:
        Death(patched, moment)
        with pytest.raises(Killed):
            run(photos, tmp_path / "killed", model)
    assert contents(tmp_path / "killed") != contents(tmp_path / "whole")
    run(photos, tmp_path / "killed", model)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


REALLY = """
import sys
import pytest
import torch
from selfalign.commands import extract
from tests.photographs import test_resuming
test_resuming.extraction._PHOTOGRAPHS_A_NOTE = 4
test_resuming.Death(pytest.MonkeyPatch(), 25, signal=True)
extract.main()
"""


@pytest.mark.usefixtures("_notes_of_four")
def test_a_process_that_is_killed_goes_on_where_it_was(
    photos: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(photos, tmp_path / "whole", model)
    options = [str(photos), "--out", str(tmp_path / "killed"), "--split", "train", "--model", str(model)]
    threads = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # sums in another order have other bits
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", REALLY, *options], capture_output=True, cwd=root, env=threads)
    assert done.returncode == -9, done.stderr.decode()
    run(photos, tmp_path / "killed", model)
    assert "going on: 4 of 10 photographs were done" in capsys.readouterr().out
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def interrupted(
    photos: Path, extractor: Extractor, root: Path, monkeypatch: pytest.MonkeyPatch, after: int = 6
) -> None:
    """An extraction that the person at the terminal stops."""
    (split,) = splits_without_captions(list_photographs(photos), "train")
    regions = Extractor.regions
    left = iter(range(after))

    def stopping(self: Extractor, photograph: Path) -> object:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return regions(self, photograph)

    with monkeypatch.context() as patched:
        patched.setattr(Extractor, "regions", stopping)
        with pytest.raises(KeyboardInterrupt):
            extract_split(Source(photos), split, extractor, root, lambda text: None)


@pytest.mark.parametrize("change", ["model", "photograph", "order", "list"])
def test_what_is_unfinished_goes_on_with_the_same_model_and_photographs_only(
    change: str, photos: Path, extractor: Extractor, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    interrupted(photos, extractor, out, monkeypatch)
    if change == "model":
        model = save_vit(tmp_path / "other", seed=1)
    elif change == "photograph":
        save_photograph(photos / "a.png", 99)
    elif change == "order":
        save_photograph(photos / "0.png")
    else:
        (photos / "a.png").unlink()
    before = contents(out)
    with pytest.raises(SystemExit, match=r"another extractor|no longer the same"):
        run(photos, out, model)
    assert contents(out) == before


def test_a_photograph_that_comes_later_in_the_list_changes_nothing_that_is_done(
    photos: Path, extractor: Extractor, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(photos, extractor, tmp_path / "out", monkeypatch)
    save_photograph(photos / "本.png", 77)
    run(photos, tmp_path / "out", model)
    run(photos, tmp_path / "whole", model)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize("damage", ["gone", "journal", "counts"])
def test_a_damaged_rest_is_refused(
    damage: str, photos: Path, extractor: Extractor, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    interrupted(photos, extractor, out, monkeypatch)
    journal = out / "train_extraction.partial"
    if damage == "gone":
        (out / "train_boxes.npy.partial").unlink()
    elif damage == "journal":
        journal.write_text("{}\n")
    else:
        journal.write_text(journal.read_text().replace('"rows": 6', '"rows": 9'))
    with pytest.raises(SystemExit, match=r"train_.*partial: .*remove"):
        run(photos, out, model)
