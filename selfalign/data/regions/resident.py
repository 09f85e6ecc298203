"""Region features of a whole split on the training device, for those that fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from tqdm import tqdm

from selfalign.data.regions.features import RegionFeatures
from selfalign.errors import UserError
from selfalign.structures import PairBatch

_CHUNK = 64
_SHARE = 0.7
"""Of a GPU's free memory that features may take; the network needs the rest."""


class ResidentFeatures:
    """The features of a split, read once and kept on a device in the type on disk.

    Args:
        features: of N images.
        device: where they stay.

    Raises:
        UserError: if a GPU has no room for them.
    """

    def __init__(self, features: RegionFeatures, device: torch.device) -> None:
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if features.bytes > _SHARE * free:
                raise UserError(
                    f"data.resident: features {features.path} take {features.bytes / 2**30:.1f} GiB, the GPU has "
                    f"{free / 2**30:.1f} GiB free; store them as float16, or use data.resident=false"
                )
        kind = torch.from_numpy(features.rows(np.arange(1))).dtype
        self._table = torch.empty(features.images, features.regions, features.width, dtype=kind, device=device)
        with tqdm(
            desc="features to the device", total=features.images, unit=" images", leave=False, disable=None
        ) as bar:
            for start in range(0, features.images, _CHUNK):
                images = np.arange(start, min(start + _CHUNK, features.images))
                self._table[start : start + len(images)] = torch.from_numpy(features.rows(images))
                bar.update(len(images))

    def fill(self, batch: PairBatch) -> PairBatch:
        """The same batch, its regions looked up by the images' ids."""
        return replace(batch, images=replace(batch.images, regions=self._table[batch.images.ids]))
