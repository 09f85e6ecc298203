"""What ``selfalign convert`` writes trains and evaluates without a further step, whatever form it came from."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfalign.commands import convert
from selfalign.engine import training
from tests.engine.callbacks.test_resuming import settings

IMAGES = {"train": 12, "dev": 6, "test": 8}
PARTS = {"train": "train", "dev": "val", "test": "test"}
WORDS = ["red ball", "small box", "green grass", "blue shirt", "yellow balloon", "bench", "dog"]


def image(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Three to six regions."""
    random = np.random.default_rng(number)
    corner = random.uniform(0, 50, (3 + number % 4, 2))
    boxes = np.concatenate([corner, corner + random.uniform(5, 40, corner.shape)], axis=1)
    return random.standard_normal((len(boxes), 10)).astype(np.float32), boxes.astype(np.float32)


def captions(number: int, count: int) -> list[dict[str, str]]:
    return [{"raw": f"a {WORDS[(number + place) % 7]} of image {number} seen {place} times"} for place in range(count)]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dump of all images, and one file of captions of all splits, one to seven an image."""
    root = tmp_path_factory.mktemp("sources")
    (root / "dump").mkdir()
    images: list[dict[str, Any]] = []
    for split, count in IMAGES.items():
        for _ in range(count):
            number = len(images)
            features, boxes = image(number)
            np.savez(root / "dump" / f"{number:06}.jpg.npz", x=features, bbox=boxes, image_w=100, image_h=100)
            few = {"sentences": captions(number, 1 + number % 7), "split": PARTS[split]}
            images.append({"filename": f"{number:06}.jpg", **few})
    (root / "dataset.json").write_text(json.dumps({"images": images}))
    return root


@pytest.mark.parametrize("backbone", ["vsrn", "camera"])
def test_varying_captions_and_regions_train_and_evaluate(
    backbone: str, sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for split in IMAGES:
        words = ["npz", sources / "dump", "--captions", sources / "dataset.json", "--root", tmp_path / "data"]
        words += ["--split", split, "--regions", "1-7", "--per-image", "all"]
        monkeypatch.setattr(sys, "argv", ["convert", *map(str, words)])
        convert.main()
    config = settings(tmp_path / "data", backbone, "training.epochs=1")
    record = training.train(config, tmp_path / "run", [])
    assert record["images"] == IMAGES["test"]
    assert record["captions"] == sum(1 + number % 7 for number in range(18, 26))
