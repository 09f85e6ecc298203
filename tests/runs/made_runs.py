"""Run folders as evaluations leave them, without training: random similarities of a chosen quality."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import torch

from selfalign.metrics.protocols import RetrievalResult, evaluate
from selfalign.runs import ranks_file
from selfalign.runs.results import save_results
from tests.configs.test_composition import composed

IMAGES = 60


@functools.cache
def _composed(*overrides: str) -> dict[str, Any]:
    return composed(*overrides)


def configuration(*overrides: str) -> dict[str, Any]:
    """What a checkpoint records."""
    config = copy.deepcopy(_composed(*overrides))
    config.pop("logger")
    return config


def ranked(seed: int, signal: float, images: int = IMAGES, protocol: str = "full") -> RetrievalResult:
    """An evaluation; the gallery is the same for every seed, the model's errors are not."""
    gallery = torch.randn(images, 24, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(5 * images, 24, generator=torch.Generator().manual_seed(seed))
    captions = signal * gallery.repeat_interleave(5, 0) + noise
    owners = torch.arange(5 * images) // 5
    return evaluate(lambda rows, columns: gallery[rows] @ captions[columns].mT, owners, images, protocol)


def write_run(
    folder: Path,
    *overrides: str,
    seed: int = 1,
    signal: float = 0.6,
    results: list[RetrievalResult] | None = None,
    texts: list[str] | None = None,
    models: list[dict[str, Any]] | None = None,
    owners: torch.Tensor | None = None,
    **record: Any,
) -> Path:
    """A run folder of train.py's settings ``overrides``."""
    results = results or [ranked(seed, signal)]
    config = models or [{**configuration(*overrides), "seed": seed}]
    folder.mkdir(parents=True)
    captions = results[0].captions
    owners = torch.arange(captions) * results[0].images // captions if owners is None else owners
    texts = texts or [f"caption {line}" for line in range(captions)]
    ranks_file.save_ranks(results, owners, texts, folder / ranks_file.NAME)
    plain = results[0].to_dict() | {"protocols": {result.protocol: result.to_dict() for result in results}}
    plain |= {"split": "test", "padding": config[0]["padding"], "seed": seed, "git_commit": "c0ffee", "models": config}
    save_results(plain | record, folder / "results.json")
    return folder


def sweep(root: Path, *overrides: str, gain: float = 0.0, seeds: int = 3) -> list[Path]:
    """Baseline and SelfAlign, a few seeds each; SelfAlign's embeddings hold ``gain`` more signal."""
    folders = []
    for number, (loss, more) in enumerate({"baseline": 0.0, "selfalign": gain}.items()):
        for seed in range(1, seeds + 1):
            folder = root / f"loss={loss},seed={seed}"
            random = 100 * number + seed
            result = [ranked(random, 0.6 + more)]
            folders.append(write_run(folder, *overrides, f"loss={loss}", seed=seed, results=result))
    return folders
