"""Counts what makes a GPU's host wait in a training step, where there is no GPU: by the names of the operations."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "bincount", "equal")
"""Operations whose result, or its size, the host has to know."""


class Waits(TorchDispatchMode):
    """Counts them; ``index`` where an index is a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        name = function.overloadpacket.__name__
        masks = name in ("index", "index_put", "index_put_") and any(
            isinstance(index, torch.Tensor) and index.dtype == torch.bool for index in arguments[1]
        )
        if name in WAITING or masks:
            self.found["index" if masks else name] += 1
        return function(*arguments, **(named or {}))


class CountWaits(pl.Callback):
    """Counts from a batch's arrival to the end of its step; ``found[step]`` from 1."""

    def __init__(self) -> None:
        self.found: dict[int, Counter[str]] = {}

    def on_train_batch_start(self, *_: Any) -> None:
        self._mode = Waits()
        self._mode.__enter__()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._mode.__exit__(None, None, None)
        self.found[trainer.global_step] = self._mode.found
