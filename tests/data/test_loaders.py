"""Loader processes: a small shared memory is seen before they start, and what goes wrong in one is one line."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from selfalign.data import loader_process
from selfalign.data.datamodule import RetrievalDataModule
from selfalign.data.loader_process import LoaderError, lacking_shared_memory, told_of_loaders
from selfalign.data.text.captions import read_captions
from selfalign.data.text.tokenizers import WordTokenizer
from selfalign.data.text.vocabulary import Vocabulary
from selfalign.errors import UserError


class Disk:
    def __init__(self, free: int) -> None:
        self.free = free


def module(root: Path, workers: int, said: list[str]) -> RetrievalDataModule:
    tokenizer = WordTokenizer(Vocabulary.build(read_captions(root / "train_caps.txt"), 1))
    return RetrievalDataModule(root, tokenizer, 4, boxes=True, seed=0, workers=workers, report=said.append)


def test_a_small_shared_memory_means_no_loader_processes(scan_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(loader_process.shutil, "disk_usage", lambda path: Disk(2_000))
    data = module(scan_folder, 2, said)
    loaders = [data.train_dataloader(), *data.val_dataloader()]
    assert [loader.num_workers for loader in loaders] == [0, 0, 0]
    assert len(list(loaders[0])) == 15
    lines = [line for line in said if "shared memory" in line]
    assert len(lines) == 1
    assert lines[0].startswith("data.workers=2: ")
    monkeypatch.setattr(loader_process.shutil, "disk_usage", lambda path: Disk(2**30))
    assert module(scan_folder, 2, said).train_dataloader().num_workers == 2


def test_the_need_grows_with_batch_workers_and_processes() -> None:
    least = next(size for size in range(1, 60) if lacking_shared_memory(2**size, 1, 1) is not None)
    size = 2 ** (least - 1)  # fits once
    assert lacking_shared_memory(size, 1, 1) is None
    assert lacking_shared_memory(size, 40, 1) is not None
    assert lacking_shared_memory(size, 1, 40) is not None


def test_without_that_folder_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_process, "_SHARED_MEMORY", Path("/no/such/folder"))
    assert lacking_shared_memory(2**50, 9, 9) is None


def test_batches_of_loaders_are_those_of_the_process_itself(scan_folder: Path) -> None:
    own, loaded = (list(module(scan_folder, workers, []).train_dataloader()) for workers in (0, 1))
    for one, other in zip(own, loaded, strict=True):
        assert torch.equal(one.images.regions, other.images.regions)
        assert torch.equal(one.captions.tokens, other.captions.tokens)
        assert one.captions.counts.tolist() == other.captions.counts.tolist() == one.captions.lengths.tolist()


def test_a_file_that_breaks_off_in_a_loader_is_one_line(scan_folder: Path) -> None:
    data = module(scan_folder, 1, [])
    loader = data.train_dataloader()
    os.truncate(scan_folder / "train_ims.npy", 300)
    with pytest.raises(UserError, match=r"train_ims.npy: row \d+ is gone; the file was cut while in use$") as caught:
        list(loader)
    assert "Traceback" not in str(caught.value)


def full(tensor: torch.Tensor) -> torch.Tensor:
    raise RuntimeError("unable to write to file </torch_1>: No space left on device (28)")


def test_a_full_shared_memory_ends_the_loader_with_its_reason(
    scan_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.Tensor, "share_memory_", full)  # loaders are forked and have it too
    with pytest.raises(LoaderError, match=r"No space left on device.*data\.workers=0 needs none of it"):
        list(module(scan_folder, 1, []).train_dataloader())


def die(self: object, indices: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_loader_that_is_killed_ends_the_run_with_its_reason(
    scan_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("selfalign.data.dataset.PairDataset.__getitems__", die)
    died = pytest.raises(UserError, match=r"a loader process died \(DataLoader worker .*\); where memory ran out")
    with died, told_of_loaders():
        list(module(scan_folder, 1, []).train_dataloader())
    with pytest.raises(RuntimeError, match="something else"), told_of_loaders():
        raise RuntimeError("something else")
