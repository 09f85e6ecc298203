"""Two trained models and a small data set with pictures, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

import selfalign
from selfalign.data.scenes import ensure_scenes
from selfalign.retriever import Retriever

RUNS = Path(__file__).parents[1] / "old_runs"


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 test images with 60 captions."""
    folder = tmp_path_factory.mktemp("gallery") / "scenes"
    ensure_scenes(root=folder, seed=0, train=60, dev=10, test=12, progress=lambda line: None)
    return folder


@pytest.fixture(scope="session")
def camera() -> Retriever:
    return selfalign.load(RUNS / "camera", device="cpu")


@pytest.fixture(scope="session")
def vsrn() -> Retriever:
    return selfalign.load(RUNS / "vsrn", device="cpu")


@pytest.fixture(scope="session")
def both() -> Retriever:
    return selfalign.load([RUNS / "camera", RUNS / "vsrn"], device="cpu")
