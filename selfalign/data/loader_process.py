"""Loader processes: how they hand batches over, what they do when their run is told to stop, how they fail."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.utils.data import Dataset

from selfalign.errors import UserError
from selfalign.structures import TensorRecord

_SHARED_MEMORY = Path("/dev/shm")
_SHARE = 0.8
_AHEAD = 2
"""Batches that torch's loaders make ahead, each process."""


class LoaderError(UserError):
    """What a loader process could not do.

    Torch raises it again in the run, with a traceback in place of its message, of which the last words are the message.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(str(message).rpartition("LoaderError: ")[2].strip())


class LoadedElsewhere(Dataset):
    """A dataset in a loader process: batches go into shared memory here, and what goes wrong is one line.

    Torch puts them there on a thread of its own, whose failure nobody hears of: the run waits for ever.

    Args:
        dataset: of whole batches.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> object:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> object:
        try:
            batch = self.dataset.__getitems__(indices)  # type: ignore[attr-defined]
            return batch.map(torch.Tensor.share_memory_) if isinstance(batch, TensorRecord) else batch
        except UserError as error:
            raise LoaderError(error) from error
        except (RuntimeError, OSError) as error:
            raise LoaderError(
                f"a loader process cannot hand over its batch ({' '.join(str(error).split())[:120]}); "
                f"is {_SHARED_MEMORY} full? data.workers=0 needs none of it"
            ) from error


def lacking_shared_memory(batch_bytes: int, workers: int, processes: int) -> str | None:
    """Why loaders cannot hand their batches over; ``None`` where they can.

    Args:
        batch_bytes: of one batch of every loader that is open at a time.
        workers: loader processes of each.
        processes: of the run, which share the memory.
    """
    try:
        free = shutil.disk_usage(_SHARED_MEMORY).free
    except OSError:  # another system, which shares memory elsewhere
        return None
    needed = processes * batch_bytes * (_AHEAD * workers + 2)
    if needed <= _SHARE * free:
        return None
    return (
        f"data.workers={workers}: loader processes need {needed / 2**20:,.0f} MB of shared memory, "
        f"{_SHARED_MEMORY} has {free / 2**20:,.0f} MB free; the main process reads by itself (docker run --shm-size=8g)"
    )


@contextmanager
def told_of_loaders() -> Iterator[None]:
    """A loader process that died ends the run with its reason.

    Raises:
        UserError: naming how it died.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"a loader process died ({reason}); where memory ran out, use a smaller data.batch_size or data.workers=0"
        ) from error


def leave_stopping_to_the_run(worker: int) -> None:
    """Live through the signals that stop a run: a terminal or a cluster sends them to the whole process group.

    The run goes on to a step that can be saved and needs its loaders until then; it ends them itself, with a SIGTERM
    where one does not answer. That has to end one, so only the first is lived through.

    Args:
        worker: number of this process; nothing depends on it.
    """
    for ignored in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(ignored, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: signal.signal(number, signal.SIG_DFL))
