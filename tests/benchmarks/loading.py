"""Batches from a feature file that is in the page cache."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from selfalign.data.dataset import PairDataset, Split
from selfalign.data.layout import SplitFiles
from selfalign.data.regions.features import RegionFeatures
from selfalign.data.sampling import ShuffledBatches
from selfalign.data.text.captions import TokenizedCaptions

_SECONDS = 4.0


def pairs_per_second(dtype: str, images: int = 8000, batch: int = 128, regions: int = 36, width: int = 2048) -> float:
    """Shuffled pairs in a second of one processor's time, float32 in memory whatever is on disk."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x_ims.npy")
        block = np.random.default_rng(0).random((64, regions, width), np.float32).astype(dtype)
        values = np.lib.format.open_memmap(path, "w+", dtype, (images, regions, width))
        for start in range(0, images, 64):
            values[start : start + 64] = block[: images - start]
        del values
        captions = TokenizedCaptions.pack([[1] * 15] * (5 * images), [[0] * 15] * (5 * images), 0)
        files = SplitFiles("x", path, path, None, None, None, None, None)
        split = Split(files, RegionFeatures(path), None, [], captions, np.arange(5 * images) // 5, None)
        dataset = PairDataset(split)
        for indices in np.arange(5 * images).reshape(-1, 5 * 64):  # into the page cache, and mapped
            dataset.__getitems__(indices[::5].tolist())
        done, start = 0, time.process_time()
        for indices in ShuffledBatches(5 * images, batch, 0):
            done += len(dataset.__getitems__(indices).images.ids)
            if time.process_time() - start > _SECONDS:
                break
        rate = done / (time.process_time() - start)
    torch.set_num_threads(threads)
    return rate
