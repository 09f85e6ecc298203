"""Counts what makes a GPU's host wait in a training step, where there is no GPU: by the names of the operations.

On the CPU every tensor lies where the host is: what is asked of one that the host keeps (the batch sizes of a packed
sequence) is counted like what is asked of a GPU's, while ``.cpu()``, ``.tolist()`` and sending to a device are no
operations there and are not seen. The ``meta`` device tells these apart: its tensors have shapes and no values, so that
whoever asks for one is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
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


class Sent(TorchDispatchMode):
    """Notes whether the host's tensors were sent to the ``meta`` device by operations that a GPU's host waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[bool] = []

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        found = function(*arguments, **(named or {}))
        given = [one for one in arguments if isinstance(one, torch.Tensor) and one.dim()]
        if isinstance(found, torch.Tensor) and found.is_meta and any(not one.is_meta for one in given):
            self.waited.append(function.overloadpacket.__name__ != "_to_copy" or not (named or {}).get("non_blocking"))
        return found


@contextmanager
def without_values() -> Iterator[Sent]:
    """Work on the ``meta`` device, which knows no autocast: an operation that needs a tensor's value is refused."""
    with pytest.MonkeyPatch.context() as patch, Sent() as sent:
        patch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
        patch.setattr(torch, "is_autocast_enabled", lambda *_: False)
        yield sent


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
