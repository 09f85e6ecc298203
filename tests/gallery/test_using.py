"""The manual's lines of Python run, and its two ways to search agree."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch

from selfalign.gallery.writing import write_index
from selfalign.retriever import Retriever
from tests.gallery.conftest import RUNS

PAGE = Path(__file__).parents[2] / "docs" / "using.md"


def test_the_lines_of_python_run(
    camera: Retriever, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    shutil.copytree(RUNS / "camera", tmp_path / "RUN")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "scenes").symlink_to(scenes)
    write_index(camera, tmp_path / "DIR", scenes, "test")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(code, names)  # the manual's own lines
    assert names["scores"].shape == (12, 2)
    assert torch.equal(names["hits"].rows, names["found"].rows)
    assert (tmp_path / "images.safetensors").stat().st_size > 0
