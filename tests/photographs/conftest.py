"""Ten photographs of names of every kind, and a tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfalign.photographs import Extractor
from tests.photographs.extracting import NAMES
from tests.photographs.tiny_models import save_photograph, save_vit


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_vit(tmp_path_factory.mktemp("vit"))


@pytest.fixture(scope="module")
def extractor(model: Path) -> Extractor:
    return Extractor.load(str(model))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten photographs of names of every kind, and their captions as Flickr hands them out."""
    for seed, name in enumerate(NAMES):
        save_photograph(tmp_path / "photos" / name, seed, (40 + seed, 30))
    lines = [f"{name}#{number}\twords {number} of {seed}\n" for seed, name in enumerate(NAMES) for number in range(5)]
    (tmp_path / "captions.txt").write_text("".join(lines), encoding="utf-8")
    return tmp_path / "photos"
