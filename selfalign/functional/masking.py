"""Padded rows: work on the real ones alone, put them back, take means over them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence


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


def packed(values: Tensor, mask: Tensor | None) -> Tensor | PackedSequence:
    """(B, n, D) ``values`` for a recurrent network, which is not to see those after the ones in (B, n) ``mask``."""
    if mask is None:
        return values
    return nn.utils.rnn.pack_padded_sequence(values, mask.sum(dim=1).cpu(), batch_first=True, enforce_sorted=False)


def among_real(similarity: Tensor, mask: Tensor | None) -> Tensor:
    """(B, K, R) ``similarity`` with regions outside (B, R) ``mask``, if there is one, where no largest value is."""
    return similarity if mask is None else similarity.masked_fill(~mask[:, None], -torch.inf)


class RealRows:
    """The K rows of (B, n, D) tensors that count, in order: those inside a mask, or all B·n.

    Linear maps, statistics and elementwise work on (K, D) do nothing for padding, half of a batch of captions.

    Args:
        shape: (B, n).
        mask: (B, n) bool, rows that count; ``None`` for all.
    """

    def __init__(self, shape: torch.Size, mask: Tensor | None) -> None:
        self.shape = shape
        self.mask = mask
        self._places = None if mask is None else mask.flatten().nonzero()[:, 0]

    def take(self, values: Tensor) -> Tensor:
        """(K, D) of (B, n, D) ``values``."""
        flat = values.flatten(0, 1)
        return flat if self._places is None else flat.index_select(0, self._places)

    def put(self, rows: Tensor, *, fill: float = 0.0) -> Tensor:
        """(B, n, D) with the (K, D) ``rows`` at their places and ``fill`` elsewhere."""
        if self._places is not None:
            empty = rows.new_full((self.shape.numel(), rows.shape[-1]), fill)
            rows = torch.index_copy(empty, 0, self._places, rows)
        return rows.view(*self.shape, -1)

    @property
    def counts(self) -> Tensor:
        """(B,) int64: how many rows of each sample count."""
        if self.mask is None:
            return torch.full(self.shape[:1], self.shape[1])
        return self.mask.sum(dim=1)

    def mean(self, rows: Tensor) -> Tensor:
        """(B, D) mean over each sample's own of the (K, D) ``rows``."""
        if self.mask is None:
            return self.put(rows).mean(dim=1)
        return self.put(rows).sum(dim=1) / self.mask.sum(dim=1, keepdim=True).to(rows.dtype)
