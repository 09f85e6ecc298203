"""Fixtures that several folders of tests use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.distributed_runner import Pool

CAPTIONS = (
    "a red ball lies left of a small box",
    "two dogs run over the green grass",
    "a man in a blue shirt rides a bicycle",
    "the small child holds a yellow balloon",
    "a woman reads a book on a bench",
)


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: some tests wait for time to pass, or for a process of theirs to end."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """The models of the tests are too small for more, and the authors' outputs were made with one."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and golden outputs beside the checkout; tests that need it are skipped without."""
    root = Path(os.environ.get("SELFALIGN_SHARED", Path(__file__).parents[2] / "shared"))
    if not root.is_dir():
        pytest.skip(f"needs the folder {root} (or SELFALIGN_SHARED)")
    return root


def write_scan_folder(root: Path, images: dict[str, int], regions: int = 4, width: int = 10) -> Path:
    """A small random data set in SCAN's layout."""
    root.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    first = 0  # no image is described like one of another split
    for split, count in images.items():
        np.save(root / f"{split}_ims.npy", random.standard_normal((count, regions, width), np.float32))
        corner = random.uniform(0, 50, (count, regions, 2))
        boxes = np.concatenate([corner, corner + random.uniform(5, 40, (count, regions, 2))], axis=-1)
        np.save(root / f"{split}_boxes.npy", boxes.astype(np.float32))
        np.save(root / f"{split}_img_sizes.npy", np.full((count, 2), 100, np.float32))
        numbers = [f"{'very ' * (i % 4)}number {first + i}" for i in range(count)]
        lines = [f"{CAPTIONS[(i + j) % 5]} {number} ." for i, number in enumerate(numbers) for j in range(5)]
        first += count
        (root / f"{split}_caps.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


@pytest.fixture
def scan_folder(tmp_path: Path) -> Path:
    """train 12, dev 6, test 8 images of 4 regions, 10 wide."""
    return write_scan_folder(tmp_path / "scan", {"train": 12, "dev": 6, "test": 8})


@pytest.fixture(scope="session")
def pools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Pool]]:
    """So many real processes that share out batches, started once a session."""
    started: dict[int, Pool] = {}

    def of(size: int) -> Pool:
        if size not in started:
            started[size] = Pool(size, tmp_path_factory.mktemp("pool"))
        return started[size]

    yield of
    for pool in started.values():
        pool.close()


@pytest.fixture(params=[2, 3])
def pool(request: pytest.FixtureRequest, pools: Callable[[int], Pool]) -> Pool:
    """Two and three processes: for what may be right for two by chance."""
    return pools(request.param)


@pytest.fixture
def pair(pools: Callable[[int], Pool]) -> Pool:
    """Two processes."""
    return pools(2)
