"""COCO's test split without COCO: its ids, captions that say nothing, and rankings of a known quality."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from selfalign.metrics.protocols import RetrievalResult, summarise
from selfalign.reports.eccv.official import Official
from selfalign.structures import Ranks
from tests.runs.made_runs import write_run

IMAGES, CAPTIONS, FOLD = 5000, 25000, 1000
OWNERS = np.repeat(np.arange(IMAGES, dtype=np.int32), 5)
TEXTS = [f"Caption {line}: a photo." for line in range(CAPTIONS)]


def write_data(root: Path, official: Official, texts: Sequence[str] = TEXTS, *, repeat: int = 1) -> Path:
    """A data folder with what says which image a row is, ``repeat`` lines an image."""
    root.mkdir()
    (root / "testall_caps.txt").write_text("".join(f"{text}\n" for text in texts))
    write_ids(root, [image for image in official.image_ids for _ in range(repeat)])
    return root


def write_ids(root: Path, ids: Sequence[int], name: str = "ids") -> None:
    """One a line."""
    (root / f"testall_{name}.txt").write_text("".join(f"{one}\n" for one in ids))


def write_annotations(root: Path, ids: Sequence[int], texts: Sequence[str]) -> None:
    """As COCO hands them out: in no order, among captions of other images."""
    rows = np.random.default_rng(0).permutation(len(ids)).tolist()
    records = [{"image_id": 1, "id": ids[row], "caption": f" {texts[row].upper()}\n"} for row in rows]
    others = [{"id": 1, "caption": "else"}, {"id": [], "caption": None}, 7]
    (root / "captions_val2014.json").write_text(json.dumps({"annotations": [*others, *records]}))


def perfect() -> tuple[np.ndarray, np.ndarray]:
    """500 answers of every query: its own captions or image first, then others of all folds.

    Not the images beside it: neighbours in this order are right more often than chance has it.
    """
    images, captions = np.arange(IMAGES)[:, None], np.arange(CAPTIONS)[:, None]
    i2t = np.concatenate([5 * images + np.arange(5), (5 * images + 12525 + 50 * np.arange(495)) % CAPTIONS], axis=1)
    t2i = np.concatenate([captions // 5, (captions // 5 + 2506 + 10 * np.arange(499)) % IMAGES], axis=1)
    return i2t.astype(np.int32), t2i.astype(np.int32)


def random() -> tuple[np.ndarray, np.ndarray]:
    """500 answers of every query that have nothing to do with it."""
    generator = np.random.default_rng(3)
    i2t = (generator.integers(CAPTIONS, size=(IMAGES, 1)) + 50 * generator.permutation(500)) % CAPTIONS
    t2i = (generator.integers(IMAGES, size=(CAPTIONS, 1)) + 10 * generator.permutation(500)) % IMAGES
    return i2t.astype(np.int32), t2i.astype(np.int32)


def write_answers(folder: Path, i2t: np.ndarray, t2i: np.ndarray) -> None:
    """``answers.npz`` without the scores, which nothing here reads."""
    np.savez(folder / "answers.npz", i2t_rows=i2t, t2i_rows=t2i, image_of_caption=OWNERS)


def write_perfect(folder: Path, depth: int = 500) -> Path:
    """An evaluation in which every query found its own answer first."""
    ranks = Ranks(torch.ones(IMAGES, dtype=torch.int64), torch.ones(CAPTIONS, dtype=torch.int64))
    found = RetrievalResult("full", IMAGES, CAPTIONS, summarise(ranks.i2t), summarise(ranks.t2i), ranks)
    write_run(folder, results=[found], texts=TEXTS, split="testall")
    i2t, t2i = perfect()
    write_answers(folder, i2t[:, :depth], t2i[:, :depth])
    return folder
