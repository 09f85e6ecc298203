"""Processes that train or evaluate together: what they exchange, with the gradient of the whole batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class Processes:
    """The processes of a run as one of them sees them; alone, nothing is exchanged and everything is the identity.

    Gradients are those of the sum of all processes' losses, of which DistributedDataParallel then takes the mean: see
    :class:`Shares` for what a loss has to be so that this mean is the gradient of the whole batch.

    Attributes:
        rank: of this process, from 0.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    def sum(self, values: Tensor) -> Tensor:
        """The elementwise sum over all processes; differentiable."""
        return values if self.size == 1 else _Sum.apply(values)

    def mean(self, values: Tensor) -> Tensor:
        """The elementwise mean over all processes; differentiable."""
        return self.sum(values) / self.size

    @torch.no_grad()
    def max(self, values: Tensor) -> Tensor:
        """The elementwise maximum over all processes, without gradient."""
        if self.size == 1:
            return values
        values = values.clone()
        distributed.all_reduce(values, distributed.ReduceOp.MAX)
        return values

    def gather(self, values: Tensor, rows: tuple[int, ...] | None = None) -> Tensor:
        """The rows of all processes in order of rank; differentiable.

        The backward pass exchanges nothing: it requires that every process computes the same function of the result,
        whose gradients they would otherwise have to add up.

        Args:
            values: (K, …), alike in all but K.
            rows: K of every process; ``None`` asks them, which waits for the device.
        """
        if self.size == 1:
            return values
        if rows is None:
            counts = torch.zeros(self.size, dtype=torch.int64, device=values.device)
            counts[self.rank] = len(values)
            distributed.all_reduce(counts)
            rows = tuple(counts.tolist())
        return _Gather.apply(values, rows, self.rank)

    def gather_parts(self, values: Tensor, rows: tuple[int, ...]) -> Tensor:
        """As :meth:`gather` for processes that compute functions of their own of the result.

        The backward pass adds up what they all have to say about a row.
        """
        return values if self.size == 1 else _GatherParts.apply(values, rows, self.rank)


ALONE = Processes()


def current() -> Processes:
    """The processes of this run: those of torch's default group, or this one alone."""
    if not distributed.is_available() or not distributed.is_initialized():
        return ALONE
    return Processes(distributed.get_rank(), distributed.get_world_size())


@dataclass(frozen=True)
class Shares:
    """How the pairs of one batch are shared out.

    The mean over processes of what each one returns as a loss must be the loss of the whole batch. A function of
    gathered rows, the same on every process, is that already; ``of_mean`` and ``of_sum`` scale a process's own part.

    Attributes:
        processes: that hold the batch.
        rows: pairs of each of them.
    """

    processes: Processes
    rows: tuple[int, ...]

    @property
    def total(self) -> int:
        """Pairs of the whole batch."""
        return sum(self.rows)

    def gather(self, values: Tensor) -> Tensor:
        """See :meth:`Processes.gather`; (own pairs, …) → (total, …)."""
        return self.processes.gather(values, self.rows)

    def gather_parts(self, values: Tensor) -> Tensor:
        """See :meth:`Processes.gather_parts`; (own pairs, …) → (total, …)."""
        return self.processes.gather_parts(values, self.rows)

    def of_mean(self, value: Tensor) -> Tensor:
        """What a mean over this process's pairs contributes to the mean over all pairs."""
        if self.processes.size == 1:
            return value
        return value * (self.rows[self.processes.rank] * self.processes.size / self.total)

    def of_sum(self, value: Tensor) -> Tensor:
        """What a sum over this process's pairs contributes to the sum over all pairs."""
        return value * self.processes.size


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        return _Sum.apply(gradients[0].contiguous())


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: Tensor, rows: tuple[int, ...], rank: int) -> Tensor:
        context.rows, context.rank = rows, rank
        # Backends exchange parts of one shape and of numbers: shorter ones are filled up, truth values become bytes.
        sent = values.to(torch.uint8) if values.dtype == torch.bool else values
        sent = torch.cat([sent, sent.new_zeros(max(rows) - len(sent), *sent.shape[1:])])
        parts = [torch.empty_like(sent) for _ in rows]
        distributed.all_gather(parts, sent.contiguous())
        return torch.cat([part[:count] for part, count in zip(parts, rows, strict=True)]).to(values.dtype)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        start = sum(context.rows[: context.rank])
        own = gradients[0][start : start + context.rows[context.rank]]
        return own * len(context.rows), None, None


class _GatherParts(_Gather):
    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        total = gradients[0].clone()
        distributed.all_reduce(total)
        start = sum(context.rows[: context.rank])
        return total[start : start + context.rows[context.rank]], None, None
