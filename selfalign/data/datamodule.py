"""The LightningDataModule of every data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset

from selfalign.data.check import check_split
from selfalign.data.dataset import AlignmentDataset, CaptionDataset, ImageDataset, PairDataset, Split, open_split
from selfalign.data.tokenizers import CaptionTokenizer, check_unknown_share, unknown_share
from selfalign.errors import UserError


class RetrievalDataModule(pl.LightningDataModule):
    """Splits of a folder in SCAN's layout.

    Training yields every caption with its image, shuffled. Evaluation yields each image once and each caption once,
    in file order, and annotated captions where the test split has them.

    Args:
        root: the folder.
        tokenizer: of the model.
        batch_size: pairs of a training batch, images or captions of an evaluation batch.
        boxes: the model needs box positions.
        train_split, val_split, test_split: names; the last two must differ.
        validation_captions: the first ones of the validation split that are used.
        workers: loader processes; 0 loads in the training process.
        pad_to: fixed width of caption batches (``padding=paper``); ``None`` for the longest of each batch.
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
        train_split: str = "train",
        val_split: str = "dev",
        test_split: str = "test",
        validation_captions: int = 5000,
        workers: int = 0,
        pad_to: int | None = None,
        report: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("validation_captions", validation_captions, 1),
            ("workers", workers, 0),
        ):
            if value < least:
                raise ValueError(f"{name}: expected at least {least}, got {value}")
        require_three_splits(train_split, val_split, test_split)
        self.root, self.tokenizer, self.batch_size, self.boxes = root, tokenizer, batch_size, boxes
        self.names = {"train": train_split, "val": val_split, "test": test_split}
        self.validation_captions, self.workers, self.pad_to = validation_captions, workers, pad_to
        self._report = report or (lambda line: None)
        self._splits: dict[str, Split] = {}

    def split(self, role: str) -> Split:
        """The opened and checked split that plays ``train``, ``val`` or ``test``."""
        if role not in self._splits:
            name = self.names[role]
            self._report(f"reading {name}: {self.root}")
            split = open_split(
                self.root,
                name,
                self.tokenizer,
                boxes=self.boxes,
                limit_captions=self.validation_captions if role == "val" else None,
                pad_to=self.pad_to,
            )
            check_split(split)
            share = unknown_share(split.captions, self.tokenizer.unknown_id)
            check_unknown_share(share, str(split.files.captions))
            self._report(
                f"{name}: {split.images:,} images, {len(split.captions):,} captions, "
                f"{split.features.regions} regions of {split.features.width}, {share:.2%} unknown words"
            )
            self._splits[role] = split
        return self._splits[role]

    def setup(self, stage: str) -> None:
        """Open the splits of a stage of Lightning's."""
        for role in {"fit": ("train", "val"), "validate": ("val",)}.get(stage, ("test",)):
            self.split(role)

    def train_dataloader(self) -> DataLoader:
        """Shuffled pairs; a last batch of one pair is dropped, BatchNorm cannot train on it."""
        dataset = PairDataset(self.split("train"))
        return self._loader(dataset, shuffle=True, drop_last=len(dataset) % self.batch_size == 1)

    def val_dataloader(self) -> list[DataLoader]:
        """Images and captions of the validation split."""
        return self._gallery(self.split("val"))

    def test_dataloader(self) -> list[DataLoader]:
        """Images and captions of the test split, and annotated captions where it has them."""
        split = self.split("test")
        loaders = self._gallery(split)
        if split.files.alignments is not None:
            loaders.append(self._loader(AlignmentDataset(split)))
        return loaders

    def _gallery(self, split: Split) -> list[DataLoader]:
        return [self._loader(ImageDataset(split)), self._loader(CaptionDataset(split))]

    def _loader(self, dataset: Dataset, **settings: Any) -> DataLoader:
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            collate_fn=_as_it_is,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            **settings,
        )


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


def _as_it_is(batch: object) -> object:
    """The datasets make whole batches; a function of its own, so that worker processes can name it."""
    return batch
