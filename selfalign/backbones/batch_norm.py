"""BatchNorm over the rows of the whole batch, whichever process holds them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from selfalign.processes.exchange import Processes, current


class LinearBeforeNorm(nn.Linear):
    """A linear map whose output goes to a BatchNorm, by itself or as a mean: its bias is not trained.

    The BatchNorm takes the bias away again, so its gradient is zero but for rounding, which Adam would blow up to full
    steps: they differ from machine to machine, and the running mean lags behind them. The bias stays a parameter,
    since published checkpoints have one.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.bias.requires_grad_(False)


class BatchNorm(nn.BatchNorm1d):
    """``nn.BatchNorm1d`` over the feature axis; parameters and buffers keep their names.

    In training its statistics are those of all processes' rows, on CPU and GPU alike, so that N processes with B/N
    pairs each normalise as one with B; torch's SyncBatchNorm does so on GPU only.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalise (…, D) ``inputs``."""
        rows = inputs.flatten(0, -2)
        processes = current()
        if processes.size == 1 or not self.training:
            return super().forward(rows).view_as(inputs)
        return self._together(rows, processes).view_as(inputs)

    def _together(self, rows: Tensor, processes: Processes) -> Tensor:
        with torch.autocast(rows.device.type, enabled=False):
            values = rows.to(self.weight.dtype)  # (K, D)
            count = processes.sum(values.new_full((), float(len(values))))
            mean = processes.sum(values.sum(dim=0)) / count
            centred = values - mean
            variance = processes.sum(centred.square().sum(dim=0)) / count
            self._remember(mean.detach(), variance.detach() * count / (count - 1))
            return (centred * torch.rsqrt(variance + self.eps) * self.weight + self.bias).to(rows.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        statistics = (self.running_mean, self.running_var, self.num_batches_tracked)
        if any(values is None for values in statistics) or self.momentum is None:
            raise ValueError("BatchNorm: expected running statistics with a momentum")
        running_mean, running_variance, batches = (values for values in statistics if values is not None)
        batches += 1
        running_mean.lerp_(mean, self.momentum)
        running_variance.lerp_(variance, self.momentum)
