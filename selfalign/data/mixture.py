"""Training on several data sets at once: each has a share of the pairs of an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from selfalign.data.dataset import BatchedDataset, Split
from selfalign.data.sampling import ShuffledBatches
from selfalign.structures import CaptionBatch, ImageBatch, PairBatch


def pairs_of_an_epoch(sizes: Sequence[int], shares: Sequence[float]) -> list[int]:
    """How many pairs of each data set an epoch has, which together has as many as all data sets have captions.

    Args:
        sizes: captions of each.
        shares: of each, above 0, in any unit; as many as sizes, or none: what each has.

    Raises:
        ValueError: naming what does not fit.

    Example:
        >>> pairs_of_an_epoch([100, 300], [1, 1])
        [200, 200]
    """
    if not shares:
        return list(sizes)
    if len(shares) != len(sizes):
        raise ValueError(f"shares: expected {len(sizes)}, one for each data set, got {len(shares)}")
    if min(shares) <= 0:
        raise ValueError(f"shares: expected numbers above 0, got {min(shares)}")
    ends = np.rint(np.cumsum([0.0, *shares]) / sum(shares) * sum(sizes)).astype(int)
    return [int(count) for count in np.diff(ends)]


class MixedBatches(ShuffledBatches):
    """Batches of pairs of several data sets in one order.

    A data set with more captions than its share of an epoch gives others in the next one; one with fewer gives all
    before it gives one again.

    Args:
        sizes: captions of each data set; its samples are numbered behind those of the ones before it.
        counts: pairs of each in an epoch.
        batch_size, seed, least, same: see :class:`ShuffledBatches`.
    """

    def __init__(
        self, sizes: Sequence[int], counts: Sequence[int], batch_size: int, seed: int, least: int = 1, *, same: bool
    ) -> None:
        super().__init__(sum(counts), batch_size, seed, least, same=same)
        self._sizes, self._counts = list(sizes), list(counts)

    def order(self, epoch: int) -> np.ndarray:
        """(K,) the samples of an epoch."""
        parts, start = [], 0
        for number, (size, count) in enumerate(zip(self._sizes, self._counts, strict=True), start=1):
            places = np.arange(epoch * count, (epoch + 1) * count)  # of all passes through the data set
            passes, within = np.divmod(places, size)
            for one in np.unique(passes):
                order = np.random.default_rng((self.seed, int(one), number)).permutation(size)
                parts.append(start + order[within[passes == one]])
            start += size
        joined = np.concatenate(parts)
        return joined[np.random.default_rng((self.seed, epoch)).permutation(len(joined))]


class MixedPairs(BatchedDataset):
    """Captions with their images, of several data sets: images and captions of each are numbered behind the others.

    Args:
        splits: of the data sets, their features of one width.
        rank, size: of the process, see :class:`selfalign.data.dataset.PairDataset`.
    """

    def __init__(self, splits: Sequence[Split], rank: int = 0, size: int = 1) -> None:
        largest = max(splits, key=lambda split: split.features.image_bytes)
        self._captions = np.cumsum([0, *(len(split.captions) for split in splits)])
        self._images = np.cumsum([0, *(split.features.images for split in splits)])
        super().__init__(largest, int(self._captions[-1]))
        self.splits, self.rank, self.size = list(splits), rank, size

    def __getitems__(self, indices: Sequence[int]) -> PairBatch:
        """This process's share of the batch of all processes."""
        samples = np.asarray(indices, np.int64)
        shares = np.array_split(samples, self.size)
        own, width = shares[self.rank], 0
        owners, all_owners = (np.searchsorted(self._captions, of, "right") - 1 for of in (own, samples))
        for number, split in enumerate(self.splits):
            captions = samples[all_owners == number] - self._captions[number]
            width = max(width, int(split.captions.lengths_of(captions).max(initial=0)))
        parts, places = [], []
        for number in np.unique(owners).tolist():
            chosen = np.flatnonzero(owners == number)
            places.append(chosen)
            parts.append(self._pairs(number, own[chosen] - self._captions[number], width))
        back = torch.from_numpy(np.argsort(np.concatenate(places)))
        joined = PairBatch(_joined_images([part.images for part in parts]), _joined_captions(parts))
        return replace(joined.map(lambda values: values[back]), rows=tuple(len(share) for share in shares))

    def _pairs(self, number: int, captions: np.ndarray, width: int) -> PairBatch:
        split, first = self.splits[number], int(self._images[number])
        images = split.image_batch(split.image_of_caption[captions])
        texts = split.caption_batch(captions, width)
        return PairBatch(
            replace(images, ids=images.ids + first),
            replace(texts, ids=texts.ids + int(self._captions[number]), image_ids=texts.image_ids + first),
        )


def _joined_images(batches: Sequence[ImageBatch]) -> ImageBatch:
    """Images one after the other, all with as many regions as the one with most."""
    most = max(batch.regions.shape[1] for batch in batches)
    real = any(batch.mask is not None or batch.regions.shape[1] < most for batch in batches)
    positions = [_filled(batch.positions, most) for batch in batches if batch.positions is not None]
    return ImageBatch(
        torch.cat([_filled(batch.regions, most) for batch in batches]),
        torch.cat(positions) if positions else None,
        torch.cat([batch.ids for batch in batches]),
        torch.cat([_mask(batch, most) for batch in batches]) if real else None,
    )


def _filled(values: Tensor, regions: int) -> Tensor:
    return pad(values, (0, 0, 0, regions - values.shape[1]))


def _mask(batch: ImageBatch, regions: int) -> Tensor:
    mask = torch.ones(batch.regions.shape[:2], dtype=torch.bool) if batch.mask is None else batch.mask
    return pad(mask, (0, regions - mask.shape[1]))


def _joined_captions(parts: Sequence[PairBatch]) -> CaptionBatch:
    captions = [part.captions for part in parts]
    return CaptionBatch(
        torch.cat([one.tokens for one in captions]),
        torch.cat([one.lengths for one in captions]),
        torch.cat([one.ids for one in captions]),
        torch.cat([one.image_ids for one in captions]),
    )
