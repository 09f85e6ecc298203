"""The LightningDataModule of every data set."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Sampler

from selfalign.data.checks.findings import counted, require
from selfalign.data.checks.overlap import Contents, overlap_findings
from selfalign.data.checks.rules import split_findings, word_findings
from selfalign.data.dataset import (
    AlignmentDataset,
    BatchedDataset,
    CaptionDataset,
    ImageDataset,
    PairDataset,
    Split,
    open_split,
)
from selfalign.data.loader_process import LoadedElsewhere, lacking_shared_memory, leave_stopping_to_the_run
from selfalign.data.mixture import MixedBatches, MixedPairs, pairs_of_an_epoch
from selfalign.data.regions.positions import require_box_unit
from selfalign.data.regions.resident import ResidentFeatures
from selfalign.data.sampling import SharedBatches, ShuffledBatches
from selfalign.data.text.tokenizers import CaptionTokenizer, unknown_share
from selfalign.data.text.word_features import WordFeatures
from selfalign.errors import UserError
from selfalign.processes.exchange import current
from selfalign.structures import PairBatch

# The platform's own, which comes first: within a job of joblib's the default is one that cannot start a loader process.
_START_METHOD = multiprocessing.get_all_start_methods()[0]


class RetrievalDataModule(pl.LightningDataModule):
    """Splits of a folder in SCAN's layout.

    Training yields every caption with its image, shuffled. Evaluation yields each image once, in file order, and
    each caption once, by length, and annotated captions where the test split has them. Of several processes each takes
    a share of every training batch, and whole evaluation batches.

    Args:
        root: the folder.
        tokenizer: of the model.
        batch_size: pairs of a training batch of all processes together, images or captions of an evaluation batch.
        boxes: the model needs box positions.
        seed: of the order of the training pairs.
        train_split, val_split, test_split: names; the last two must differ.
        validation_captions: the first ones of the validation split that are used.
        training_captions: the first ones of the training split that are used; ``None`` for all.
        workers: loader processes; 0 loads in the training process.
        resident: keep the features of the training split on the device.
        by_length: evaluate captions in order of length; ``False`` where padding matters (``padding=paper``).
        pad_to: fixed width of caption batches (``padding=paper``); ``None`` for the longest of each batch.
        box_unit: of the boxes on disk, ``pixels`` or ``fractions`` of the image, or a grid in their place, as ``7x7``.
        further: folders whose training splits are trained on, too.
        shares: of the folders in an epoch, the first one's first; empty: as many pairs as each has captions.
        report: told in one line what takes time.

    Raises:
        UserError: if model selection would see the test split.
    """

    def __init__(
        self,
        root: Path,
        tokenizer: CaptionTokenizer,
        batch_size: int,
        boxes: bool,
        seed: int,
        train_split: str = "train",
        val_split: str = "dev",
        test_split: str = "test",
        validation_captions: int = 5000,
        training_captions: int | None = None,
        workers: int = 0,
        resident: bool = False,
        by_length: bool = True,
        pad_to: int | None = None,
        box_unit: str = "pixels",
        further: Sequence[str | Path] = (),
        shares: Sequence[float] = (),
        report: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__()
        self.allow_zero_length_dataloader_with_multiple_devices = True  # few annotated captions, many processes
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("validation_captions", validation_captions, 1),
            ("training_captions", 2 if training_captions is None else training_captions, 2),
            ("workers", workers, 0),
        ):
            if value < least:
                raise ValueError(f"{name}: expected at least {least}, got {value}")
        require_three_splits(train_split, val_split, test_split)
        require_box_unit(box_unit)
        if resident and further:
            raise ValueError("resident: expected false where several data sets are trained on (data.further), got true")
        if shares:
            pairs_of_an_epoch([1] * (1 + len(further)), shares)
        self.further, self.shares = [Path(folder) for folder in further], list(shares)
        self._more: list[Split] | None = None
        self.root, self.tokenizer, self.batch_size = root, tokenizer, batch_size
        self.boxes, self.seed = boxes, seed
        self.names = {"train": train_split, "val": val_split, "test": test_split}
        self.limits = {"train": training_captions, "val": validation_captions}
        self.workers, self.pad_to, self.box_unit = workers, pad_to, box_unit
        self._report = report or (lambda line: None)
        self._splits: dict[str, Split] = {}
        self.resident, self.by_length = resident, by_length
        self._on_device: ResidentFeatures | None = None
        self._position = (0, 0)
        self._told_of_memory = False

    def split(self, role: str) -> Split:
        """The opened and checked split that plays ``train``, ``val`` or ``test``."""
        if role not in self._splits:
            self._splits[role] = self._opened(self.root, role)
        return self._splits[role]

    def _opened(self, root: Path, role: str) -> Split:
        name = self.names[role]
        self._report(f"reading {name}: {root}")
        split = open_split(
            root,
            name,
            self.tokenizer,
            boxes=self.boxes,
            limit_captions=self.limits.get(role) if root == self.root else None,
            pad_to=self.pad_to,
            box_unit=self.box_unit,
        )
        require(
            split_findings(split.files, split.texts, split.features, split.positions, split.image_of_caption),
            self._report,
        )
        require(word_findings(split.files, split.texts, split.captions, self.tokenizer), self._report)
        share = unknown_share(split.captions, self.tokenizer.unknown_id)
        self._report(
            f"{name}: {split.images:,} images, {len(split.captions):,} captions, "
            f"{split.features.numbers} regions of {split.features.width}, {share:.2%} unknown words"
        )
        if split.images_without_caption:
            self._report(
                f"{name}: {counted(split.images_without_caption, 'image')} without a caption: captions search "
                "them, they are no queries"
            )
        return split

    def further_splits(self) -> list[Split]:
        """The training splits of the further data sets, opened and checked.

        Raises:
            UserError: if their features have another width.
        """
        if self._more is None:
            first, self._more = self.split("train"), [self._opened(folder, "train") for folder in self.further]
            for split in self._more:
                if split.features.width != first.features.width:
                    raise UserError(
                        f"data.further: features {split.features.path} are {split.features.width:,} wide, those of "
                        f"{first.features.path} {first.features.width:,}"
                    )
        return self._more

    def use_word_features(self, role: str, words: WordFeatures) -> None:
        """Give captions of a split with what a frozen text encoder made of them."""
        self._splits[role] = replace(self.split(role), words=words)

    def require_three_contents(self) -> None:
        """Refuse splits of different extractions, or that share their images.

        Raises:
            UserError: naming two splits.
        """
        own = {role: self.split(role) for role in ("train", "val", "test")}
        require(overlap_findings([_contents(split) for split in own.values()]), self._report)
        for split, folder in zip(self.further_splits(), self.further, strict=True):
            # Ids are of their own data set: another one's may be the same numbers. Other regions are other features.
            alike = split.features if split.features.numbers == own["train"].features.numbers else None
            trained = replace(_contents(split), name=f"{folder.name}/{split.files.split}", files=None, features=alike)
            require(overlap_findings([trained, _contents(own["val"])]), self._report)
            require(overlap_findings([trained, _contents(own["test"])]), self._report)

    def setup(self, stage: str) -> None:
        """Open the splits of a stage of Lightning's."""
        for role in {"fit": ("train", "val"), "validate": ("val",)}.get(stage, ("test",)):
            self.split(role)

    def train_dataloader(self) -> DataLoader:
        """Shuffled pairs; a last batch that leaves a process without a pair, or has only one, is dropped.

        Raises:
            UserError: if the processes cannot share out a batch evenly.
        """
        processes = current()
        if self.batch_size % processes.size:
            raise UserError(
                f"data.batch_size: {self.batch_size} pairs cannot be shared out evenly to {processes.size} processes; "
                f"it is the batch of all of them together, use a multiple of {processes.size}"
            )
        least = max(2, processes.size)
        same = getattr(self.trainer, "overfit_batches", 0) > 0
        dataset: BatchedDataset
        batches: ShuffledBatches
        if self.further:
            splits = [self.split("train"), *self.further_splits()]
            dataset = MixedPairs(splits, processes.rank, processes.size)
            sizes = [len(split.captions) for split in splits]
            counts = pairs_of_an_epoch(sizes, self.shares)
            self._report(
                f"an epoch has {' + '.join(f'{count:,}' for count in counts)} pairs of {len(splits)} data sets"
            )
            batches = MixedBatches(sizes, counts, self.batch_size, self.seed, least, same=same)
        else:
            dataset = PairDataset(self.split("train"), processes.rank, processes.size, regions=not self.resident)
            batches = ShuffledBatches(len(dataset), self.batch_size, self.seed, least, same=same)
        batches.start_at(*self._position)
        return self._loader(dataset, batches)

    def state_dict(self) -> dict[str, int]:
        """Where training is: the epoch, from 0, and its batches that are done."""
        if self.trainer is None:
            return {}
        done = self.trainer.fit_loop.epoch_loop.batch_progress
        return {"epoch": self.trainer.current_epoch, "batches": 0 if done.is_last_batch else done.current.ready}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Start the next training loader where a checkpoint was saved."""
        self._position = (state_dict["epoch"], state_dict["batches"])

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Queue a batch's way to a GPU, behind what that has to do; Lightning would wait for both."""
        return batch.to(device, non_blocking=device.type != "cpu")

    def on_after_batch_transfer(self, batch: object, dataloader_idx: int) -> object:
        """Give a training batch its regions where they are on the device."""
        if not self.resident or not isinstance(batch, PairBatch):
            return batch
        if self._on_device is None:
            self._on_device = ResidentFeatures(self.split("train").features, batch.images.ids.device)
        return self._on_device.fill(batch)

    def val_dataloader(self) -> list[DataLoader]:
        """Images and captions of the validation split, and annotated captions where it has them."""
        return self._judged(self.split("val"), "limit_val_batches")

    def predict_dataloader(self) -> list[DataLoader]:
        """Images and captions of the test split."""
        return self._gallery(self.split("test"), "limit_predict_batches")

    def test_dataloader(self) -> list[DataLoader]:
        """Images and captions of the test split, and annotated captions where it has them."""
        return self._judged(self.split("test"), "limit_test_batches")

    def _judged(self, split: Split, limit: str) -> list[DataLoader]:
        loaders = self._gallery(split, limit)
        if split.files.alignments is not None:
            loaders.append(self._evaluation_loader(AlignmentDataset(split), repeat=False))
        return loaders

    def _gallery(self, split: Split, limit: str) -> list[DataLoader]:
        """Images and captions; in file order where a limit of Lightning's lets a part through, so that they fit."""
        whole = self.trainer is None or getattr(self.trainer, limit) == 1.0
        datasets = (ImageDataset(split), CaptionDataset(split, by_length=self.by_length and whole))
        return [self._evaluation_loader(dataset, repeat=True) for dataset in datasets]

    def _evaluation_loader(self, dataset: BatchedDataset, *, repeat: bool) -> DataLoader:
        processes = current()
        batches = SharedBatches(dataset.order, self.batch_size, processes.rank, processes.size, repeat=repeat)
        return self._loader(dataset, batches)

    def _loader(self, dataset: BatchedDataset, batches: Sampler[list[int]]) -> DataLoader:
        workers = self._fitting_workers(dataset.split)
        return DataLoader(
            LoadedElsewhere(dataset) if workers else dataset,
            batch_sampler=batches,
            collate_fn=_as_it_is,
            num_workers=workers,
            multiprocessing_context=_START_METHOD if workers else None,
            persistent_workers=workers > 0,
            pin_memory=self.trainer is not None and self.trainer.strategy.root_device.type == "cuda",
            worker_init_fn=leave_stopping_to_the_run,
            generator=torch.Generator(),  # its own: a loader that starts must not move the dropout's numbers
        )

    def _fitting_workers(self, split: Split) -> int:
        """The loader processes that shared memory has room for: all, or none."""
        if self.workers and not self._told_of_memory:
            # Training's and a gallery's batches are open together, of images and of captions.
            batch = 2 * self.batch_size * (split.features.image_bytes + split.captions.longest_bytes)
            lacking = lacking_shared_memory(batch, self.workers, current().size)
            if lacking is not None:
                self._report(lacking)
                self.workers = 0
            self._told_of_memory = True
        return self.workers


def require_three_splits(train: str, validation: str, test: str) -> None:
    """Refuse a run whose model would be chosen on its test split, or tested on what it was trained on.

    Raises:
        UserError: unless the three names differ.
    """
    if len({train, validation, test}) < 3:
        raise UserError(
            f"data: training, validation and test need three splits, got {train}, {validation}, {test}; "
            "a model chosen on its test split gives numbers that mean nothing"
        )


def _contents(split: Split) -> Contents:
    return Contents(split.files.split, split.features, split.texts, split.files, split.image_of_caption)


def _as_it_is(batch: object) -> object:
    """The datasets make whole batches; a function of its own, so that worker processes can name it."""
    return batch
