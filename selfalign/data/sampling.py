"""Which samples make a batch, and which process takes it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler


class ShuffledBatches(Sampler[list[int]]):
    """Batches of all samples in an order that depends on nothing but seed and epoch, the same on every process.

    Args:
        samples: how many there are.
        batch_size: of all processes together.
        seed: of the run.
        least: a last batch of fewer samples is dropped.
        same: take the order of the first epoch in all of them (Lightning's ``overfit_batches``).
    """

    def __init__(self, samples: int, batch_size: int, seed: int, least: int = 1, *, same: bool = False) -> None:
        self.samples, self.batch_size, self.seed, self.least = samples, batch_size, seed, least
        self.same = same
        self.epoch = 0
        self._skipped = 0

    @property
    def sampler(self) -> ShuffledBatches:
        """Itself, where Lightning looks for ``set_epoch``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Use the order of ``epoch``, from 0, all of it unless :meth:`start_at` has named this very epoch."""
        if epoch != self.epoch:
            self.epoch, self._skipped = epoch, 0

    def start_at(self, epoch: int, batches: int) -> None:
        """Go on within ``epoch`` after its first ``batches``; the length stays that of the whole epoch."""
        self.epoch, self._skipped = epoch, batches

    def __len__(self) -> int:
        whole, rest = divmod(self.samples, self.batch_size)
        return whole + (rest >= max(self.least, 1))

    def order(self, epoch: int) -> np.ndarray:
        """(K,) the samples of an epoch."""
        return np.random.default_rng((self.seed, epoch)).permutation(self.samples)

    def __iter__(self) -> Iterator[list[int]]:
        order = self.order(0 if self.same else self.epoch)
        for batch in range(self._skipped, len(self)):
            yield order[batch * self.batch_size : (batch + 1) * self.batch_size].tolist()


class SharedBatches(Sampler[list[int]]):
    """Batches of neighbours in an order, dealt out whole: what a batch holds does not depend on how many processes run.

    Args:
        order: (K,) the samples; those of one length beside each other need no padding.
        batch_size: of each batch.
        rank, size: of the process, see :class:`selfalign.processes.exchange.Processes`.
        repeat: give a process that gets none the first batch once more, so that every process has something to show;
            its receiver has to drop repeated samples.
    """

    def __init__(self, order: np.ndarray, batch_size: int, rank: int, size: int, *, repeat: bool) -> None:
        starts = range(0, len(order), batch_size)[rank::size]
        if repeat and not starts:
            starts = range(0, min(len(order), 1))
        self._batches = [order[start : start + batch_size].tolist() for start in starts]

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._batches)
