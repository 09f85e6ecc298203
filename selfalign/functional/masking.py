"""Padded rows: work on the real ones alone, put them back, take means over them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from selfalign.functional.sending import sent


def real_rows(values: Tensor, mask: Tensor) -> Tensor:
    """(K, D): the rows of (B, n, D) ``values`` inside (B, n) ``mask``, as ``values[mask]`` but with a fast gradient.

    Example:
        >>> real_rows(torch.tensor([[[1.0], [2.0]], [[3.0], [0.0]]]), torch.tensor([[True, True], [True, False]])).T
        tensor([[1., 2., 3.]])
    """
    return RealRows(mask.shape, mask).take(values)


def inner_words(mask: Tensor) -> Tensor:
    """(B, W) bool: real tokens of (B, W) ``mask`` less the first and the last of each caption, which are special."""
    inside = mask.clone()
    inside[:, :1] = False
    inside[:, :-1] &= mask[:, 1:]
    inside[:, -1:] = False
    return inside


def packed(values: Tensor, counts: Tensor) -> PackedSequence:
    """(B, n, …) ``values`` for a recurrent network, which is to see the first ones of each sample only.

    As ``pack_padded_sequence`` of samples in any order, which waits for a GPU to send it that order.

    Args:
        values: (B, n, …).
        counts: (B,) int64 on the host, how many of each sample, at least 1.
    """
    lengths, order = counts.sort(descending=True)
    order = sent(order, values.device)
    data, batch_sizes, _, _ = pack_padded_sequence(values.index_select(0, order), lengths, batch_first=True)
    return PackedSequence(data, batch_sizes, order)


def unpacked(sequence: PackedSequence, length: int) -> Tensor:
    """(B, ``length``, …) from what a recurrent network made of :func:`packed` values; zeros after the last of a sample.

    As ``pad_packed_sequence``, which asks a GPU for the order to put the lengths into it, too.
    """
    padded, _ = pad_packed_sequence(PackedSequence(sequence.data, sequence.batch_sizes), True, total_length=length)
    return padded if sequence.unsorted_indices is None else padded.index_select(0, sequence.unsorted_indices)


def among_real(similarity: Tensor, mask: Tensor | None) -> Tensor:
    """(B, K, R) ``similarity`` with regions outside (B, R) ``mask``, if there is one, where no largest value is."""
    return similarity if mask is None else similarity.masked_fill(~mask[:, None], -torch.inf)


class RealRows:
    """The K rows of (B, n, D) tensors that count, in order: those inside a mask, or all B·n.

    Linear maps, statistics and elementwise work on (K, D) do nothing for padding, half of a batch of captions.

    Args:
        shape: (B, n).
        mask: (B, n) bool, rows that count; ``None`` for all.
        counts: (B,) int64 on the host, how many of each sample the mask has. Without them K is asked of the mask, for
            which the host waits where that is on a GPU.
    """

    def __init__(self, shape: torch.Size, mask: Tensor | None, counts: Tensor | None = None) -> None:
        self.shape = shape
        self.mask = mask
        self._counts = counts
        self._places = None if mask is None else _places(mask.flatten(), counts)

    def take(self, values: Tensor) -> Tensor:
        """(K, D) of (B, n, D) ``values``, or (K,) of (B, n)."""
        flat = values.flatten(0, 1)
        return flat if self._places is None else flat.index_select(0, self._places)

    def put(self, rows: Tensor, *, fill: float = 0.0) -> Tensor:
        """(B, n, D) with the (K, D) ``rows`` at their places and ``fill`` elsewhere."""
        if self._places is not None:
            empty = rows.new_full((self.shape.numel(), rows.shape[-1]), fill)
            rows = torch.index_copy(empty, 0, self._places, rows)
        return rows.view(*self.shape, -1)

    def samples(self, device: torch.device) -> Tensor:
        """(K,) int64: the sample of each row."""
        places = torch.arange(self.shape.numel(), device=device) if self._places is None else self._places
        return places // self.shape[1]

    def counts(self, device: torch.device) -> Tensor:
        """(B,) int64: how many rows of each sample count."""
        if self.mask is None:
            return torch.full(self.shape[:1], self.shape[1], device=device)
        return self.mask.sum(dim=1)

    def packed(self, values: Tensor) -> Tensor | PackedSequence:
        """(B, n, D) ``values`` for a recurrent network; of rows that are each sample's first ones."""
        if self.mask is None:
            return values
        return packed(values, self.mask.sum(dim=1).cpu() if self._counts is None else self._counts)

    def mean(self, rows: Tensor) -> Tensor:
        """(B, D) mean over each sample's own of the (K, D) ``rows``."""
        if self.mask is None:
            return self.put(rows).mean(dim=1)
        return self.put(rows).sum(dim=1) / self.mask.sum(dim=1, keepdim=True).to(rows.dtype)


def _places(mask: Tensor, counts: Tensor | None) -> Tensor:
    """(K,) int64: where a flat ``mask`` is true, in order."""
    if counts is None:
        return mask.nonzero()[:, 0]
    # ``nonzero`` has to tell the host how many it found; ``nonzero_static`` has not, but not every torch that we allow
    # has it on a GPU. Here each true place writes itself into the slot of its number, from 1, and all others into slot
    # 0. With a wrong K an index lies outside, here or in what the places are used for.
    slots = torch.where(mask, mask.cumsum(dim=0), 0)
    places = torch.full((sum(counts.tolist()) + 1,), mask.numel(), device=mask.device)
    return places.scatter_(0, slots, torch.arange(mask.numel(), device=mask.device))[1:]
