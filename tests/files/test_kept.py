"""Kept files are listed with what they are and when they were used, and cleared, and nothing else is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from selfalign.commands import cache
from selfalign.files import kept as kept_module
from selfalign.files.kept import kept_files, note_use


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two kept files with notes, of which one lies elsewhere, and an older one without."""
    monkeypatch.setenv("SELFALIGN_CACHE", str(tmp_path / "cache"))
    files = {
        "elsewhere/words-" + "a" * 32 + ".npy": (3_000_000, "test of data/f8k"),
        "cache/tokens-" + "b" * 32 + ".npz": (2_000_000, "60,000 captions, first: a dog \x1b[31m"),
        "cache/vocabulary-" + "c" * 32 + ".json": (1_000_000, None),
    }
    for age, (name, (size, data)) in enumerate(files.items()):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"0" * size)
        os.utime(path, (0, 10**9))
        if data is not None:
            note_use(path, data)
            os.utime(kept_module._note(path), (0, 2 * 10**9 - age))
    return tmp_path


def test_all_kept_files_are_listed_the_last_used_first(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [kept.what for kept in kept_files()] == ["BERT outputs", "token ids", "vocabulary"]
    assert cache.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "just now" in lines[1]
    assert "3.0 MB  BERT outputs  test of data/f8k" in lines[1]
    assert str(place / "elsewhere") in lines[1]
    assert "\\x1b[31m" in lines[2]
    assert "of an older version" in lines[3]
    assert lines[-1] == "3 files, 6.0 MB"


def test_so_much_stays_that_was_used_last(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cache.main(["--keep", "5.5 MB"]) == 0
    assert "deleted 1 of 3 files, 1.0 MB" in capsys.readouterr().out
    assert [kept.what for kept in kept_files()] == ["BERT outputs", "token ids"]
    assert cache.main(["--clear"]) == 0
    assert "nothing is kept" in capsys.readouterr().out
    assert not [path for path in place.rglob("*") if path.is_file()]
    assert cache.main(["--keep", "much"]) == 2


def test_a_use_brings_a_file_to_the_front(place: Path) -> None:
    last = kept_files()[-1]
    note_use(last.path, "train of data/f8k")
    os.utime(kept_module._note(last.path), (0, 3 * 10**9))
    assert kept_files()[0].path == last.path
    assert kept_files()[0].data == "train of data/f8k"


def test_a_note_never_lists_or_deletes_a_file_of_another_name(place: Path) -> None:
    thesis, link = place / "thesis.tex", place / "elsewhere" / ("words-" + "d" * 32 + ".npy")
    thesis.write_text("years")
    link.symlink_to(thesis)
    note = kept_module._note(thesis)
    note.write_text(json.dumps({"path": str(thesis), "data": "x"}))
    for number, text in enumerate(("", "[]", "{}", json.dumps({"path": str(link), "data": "x"}))):
        (place / "cache" / f"note-{number}.json").write_text(text)
    assert len(kept_files()) == 3
    assert cache.main(["--clear"]) == 0
    assert thesis.read_text() == "years"
