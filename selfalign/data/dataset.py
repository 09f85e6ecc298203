"""Batches of a split, gathered by array operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from selfalign.data.layout import SplitFiles, find_split
from selfalign.data.ownership import open_features
from selfalign.data.regions.disk_array import DiskArray
from selfalign.data.regions.features import RegionFeatures
from selfalign.data.regions.positions import Positions, open_positions
from selfalign.data.text.captions import TokenizedCaptions, read_captions
from selfalign.data.text.kept_text import kept_tokens
from selfalign.data.text.tokenizers import CaptionTokenizer
from selfalign.data.text.word_features import WordFeatures
from selfalign.errors import UserError
from selfalign.functional.overlap import box_overlaps
from selfalign.structures import AlignmentBatch, CaptionBatch, ImageBatch, PairBatch

_OVERLAP = 0.5
_ARTICLES = frozenset(("a", "an", "the"))


@dataclass(frozen=True, eq=False)
class Split:
    """One split, its captions tokenised and its features still on disk.

    Attributes:
        files: where it comes from.
        features: of N images.
        positions: of their boxes; ``None`` for models that need none.
        texts: the M captions.
        captions: the same, as tokens.
        image_of_caption: (M,) int64, row of the image that each caption describes.
        pad_to: fixed width of caption batches; ``None`` for the longest of each batch.
        words: a frozen text encoder's outputs for all captions; ``None``: the model computes them.
        box_unit: of the boxes on disk.
        is_whole: all captions of the split are there.
    """

    files: SplitFiles
    features: RegionFeatures
    positions: Positions | None
    texts: list[str]
    captions: TokenizedCaptions
    image_of_caption: np.ndarray
    pad_to: int | None
    words: WordFeatures | None = None
    box_unit: str = "pixels"
    is_whole: bool = True

    @property
    def images(self) -> int:
        """Images that are used: all, or where the captions were limited those up to the last that they describe."""
        return self.features.images if self.is_whole else 1 + int(self.image_of_caption.max())

    @property
    def images_without_caption(self) -> int:
        """How many of them no caption describes: captions search them, and they are no queries."""
        return self.images - len(np.unique(self.image_of_caption))

    def image_batch(self, images: np.ndarray, *, regions: bool = True) -> ImageBatch:
        """Batch of ``images`` (B,), without ``regions`` where the device has them."""
        values = self.features.rows(images if regions else images[:0])
        return ImageBatch(
            torch.from_numpy(values),
            None if self.positions is None else torch.from_numpy(self.positions.rows(images)),
            torch.from_numpy(images),
            None if (mask := self.features.mask(images)) is None else torch.from_numpy(mask),
        )

    def caption_batch(self, captions: np.ndarray, width: int | None = None) -> CaptionBatch:
        """Batch of ``captions`` (B,), padded to ``pad_to``, else to ``width``, else to the longest."""
        tokens, lengths = self.captions.rows(captions, self.pad_to or width)
        return CaptionBatch(
            torch.from_numpy(tokens),
            torch.from_numpy(lengths),
            torch.from_numpy(captions),
            torch.from_numpy(self.image_of_caption[captions]),
            None if self.words is None else torch.from_numpy(self.words.rows(captions, tokens.shape[1])),
        )

    def pair_batch(self, captions: np.ndarray) -> PairBatch:
        """Batch of ``captions`` (B,) with their images."""
        return PairBatch(self.image_batch(self.image_of_caption[captions]), self.caption_batch(captions))


def open_split(
    root: Path,
    split: str,
    tokenizer: CaptionTokenizer,
    *,
    boxes: bool,
    limit_captions: int | None = None,
    pad_to: int | None = None,
    box_unit: str = "pixels",
) -> Split:
    """Open a split: headers are checked, captions are read and tokenised, features stay on disk.

    Args:
        root: folder in SCAN's layout.
        split: its name.
        tokenizer: of the model.
        boxes: the model needs box positions.
        limit_captions: use the first ones only.
        pad_to, box_unit: see :class:`Split`.

    Raises:
        UserError: if files are missing, broken, or do not fit each other.
    """
    files = find_split(root, split)
    texts = read_captions(files.captions)
    owned = open_features(files, len(texts))
    positions = open_positions(files, owned.features, box_unit) if boxes else None
    is_whole = limit_captions is None or limit_captions >= len(texts)
    texts = texts[:limit_captions]
    return Split(
        files,
        owned.features,
        positions,
        texts,
        kept_tokens(tokenizer, texts),
        owned.image_of_caption[:limit_captions],
        pad_to,
        box_unit=box_unit,
        is_whole=is_whole,
    )


class BatchedDataset(Dataset):
    """A dataset that makes a whole batch at once; its DataLoader's ``collate_fn`` has nothing left to do."""

    def __init__(self, split: Split, size: int) -> None:
        self.split = split
        self._size = size

    def __len__(self) -> int:
        return self._size

    @property
    def order(self) -> np.ndarray:
        """(K,) all samples, as evaluation goes through them: in file order."""
        return np.arange(len(self))

    def __getitem__(self, index: int) -> object:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> object:
        raise NotImplementedError


class PairDataset(BatchedDataset):
    """Every caption with its image: PairBatch, of which each process takes its share.

    All shares of a batch are padded to its longest caption, so that none of them depends on how it was shared out.

    Args:
        split: of the pairs.
        rank, size: of the process, see :class:`selfalign.processes.exchange.Processes`.
        regions: read them; ``False`` where the device has them.
    """

    def __init__(self, split: Split, rank: int = 0, size: int = 1, *, regions: bool = True) -> None:
        super().__init__(split, len(split.captions))
        self.rank, self.size, self.regions = rank, size, regions

    def __getitems__(self, indices: Sequence[int]) -> PairBatch:
        """This process's share of the batch of all processes."""
        captions = np.asarray(indices, np.int64)
        shares = np.array_split(captions, self.size)
        own = shares[self.rank]
        return PairBatch(
            self.split.image_batch(self.split.image_of_caption[own], regions=self.regions),
            self.split.caption_batch(own, int(self.split.captions.lengths_of(captions).max())),
            tuple(len(share) for share in shares),
        )


class ImageDataset(BatchedDataset):
    """Every image once: ImageBatch."""

    def __init__(self, split: Split) -> None:
        super().__init__(split, split.images)

    def __getitems__(self, indices: Sequence[int]) -> ImageBatch:
        return self.split.image_batch(np.asarray(indices, np.int64))


class CaptionDataset(BatchedDataset):
    """Every caption once: CaptionBatch.

    Args:
        split: of the captions.
        by_length: evaluation goes through them by length; ``False`` where padding matters (``padding=paper``).
    """

    def __init__(self, split: Split, *, by_length: bool = True) -> None:
        super().__init__(split, len(split.captions))
        self.by_length = by_length

    @property
    def order(self) -> np.ndarray:
        """By length, which leaves next to no padding, or in file order."""
        return np.argsort(self.split.captions.lengths, kind="stable") if self.by_length else super().order

    def __getitems__(self, indices: Sequence[int]) -> CaptionBatch:
        return self.split.caption_batch(np.asarray(indices, np.int64))


class AlignmentDataset(BatchedDataset):
    """Every caption with annotated words, and the regions that are right for them: AlignmentBatch.

    Words that the tokenizer cut off are left out.

    Args:
        split: with boxes on disk and an alignments file.
    """

    def __init__(self, split: Split) -> None:
        files = split.files
        if files.alignments is None or files.boxes is None or files.sizes is None:
            raise ValueError(f"split: expected alignments, boxes and sizes in {files.root}, got a split without")
        self._boxes = open_positions(files, split.features, split.box_unit)
        rows = DiskArray(files.alignments, 2, "alignments")
        if rows.shape[1] != 6:
            raise UserError(f"alignments {files.alignments}: expected shape (K, 6), got {rows.shape}")
        table = rows.rows(np.arange(len(rows)))
        wrong = np.flatnonzero(~np.isfinite(table).all(axis=1) | (table[:, :2] < 0).any(axis=1))
        if len(wrong):
            raise UserError(f"alignments {files.alignments}: row {wrong[0]} is no caption, word and box")
        self._words: dict[int, dict[int, list[np.ndarray]]] = {}
        self._phrases: dict[tuple[int, int], list[int]] = {}
        for caption, word, *box in table:
            token = split.captions.token_of(int(caption), int(word)) if caption < len(split.captions) else None
            if token is not None:
                self._words.setdefault(int(caption), {}).setdefault(token, []).append(np.asarray(box, np.float32))
                self._phrases[int(caption), token] = _phrase_tokens(split, int(caption), int(word))
        self._captions = sorted(self._words)
        super().__init__(split, len(self._captions))

    def __getitems__(self, indices: Sequence[int]) -> AlignmentBatch:
        captions = np.asarray([self._captions[index] for index in indices], np.int64)
        images = self.split.image_of_caption[captions]
        boxes, _ = self._boxes.raw(images)
        mask = self._boxes.mask(images)
        pairs = self.split.pair_batch(captions)
        rows, words, phrases, correct, centred = [], [], [], [], []
        for row, caption in enumerate(captions.tolist()):
            for token, true_boxes in self._words[caption].items():
                rows.append(row)
                words.append(token)
                phrase = np.zeros(pairs.captions.tokens.shape[1], np.bool_)
                phrase[self._phrases[caption, token]] = True
                phrases.append(phrase)
                true = np.stack(true_boxes)
                shares = box_overlaps(torch.from_numpy(boxes[row]), torch.from_numpy(true))
                real = True if mask is None else mask[row]
                correct.append((shares.amax(dim=1) >= _OVERLAP).numpy() & real)
                centred.append(np.asarray(centres_in(boxes[row], true).any(axis=1)) & real)
        return AlignmentBatch(
            pairs, torch.tensor(rows), torch.tensor(words), _stack(phrases), _stack(correct), _stack(centred)
        )


def _stack(rows: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(rows))


def _phrase_tokens(split: Split, caption: int, word: int) -> list[int]:
    """Places of the first tokens of a word and of the words before it, back to an article: "red ball" of "a red ball".

    Only the word's own where there is no article before it.
    """
    words = split.texts[caption].split()
    start = next((place + 1 for place in range(word - 1, -1, -1) if words[place] in _ARTICLES), word)
    tokens = (split.captions.token_of(caption, place) for place in range(start, word + 1))
    return [token for token in tokens if token is not None]


def centres_in(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(R, K) whether the centre of each of ``boxes`` (R, 4) lies in each of ``others`` (K, 4), x1 y1 x2 y2."""
    centres = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2  # (R, 1, 2)
    return ((centres >= others[None, :, :2]) & (centres <= others[None, :, 2:])).all(axis=-1)
