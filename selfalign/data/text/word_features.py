"""Outputs of a frozen text encoder for all words of a split, on disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from selfalign.data.regions.disk_array import DiskArray
from selfalign.data.text.captions import TokenizedCaptions
from selfalign.errors import UserError
from selfalign.files.whole_files import whole_file

Encoder = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(B, W) padded tokens and (B,) lengths → (B, W, E)."""
_BATCH = 128


class WordFeatures:
    """What a text encoder made of every word of a split's captions.

    Args:
        path: what :func:`write_word_features` wrote.
        captions: the same captions.

    Raises:
        UserError: if the file is of other captions.
    """

    def __init__(self, path: Path, captions: TokenizedCaptions) -> None:
        self._array = DiskArray(path, 2, "word features")
        self._offsets = captions.offsets
        if len(self._array) != len(captions.tokens):
            raise UserError(
                f"word features {path}: {len(self._array)} words, the captions have {len(captions.tokens)}; delete it"
            )

    def rows(self, captions: np.ndarray, width: int) -> np.ndarray:
        """(B, W, E) float16 of ``captions`` (B,), zero after the last word."""
        values = np.zeros((len(captions), width, self._array.shape[1]), np.float16)
        for row in np.argsort(captions, kind="stable").tolist():
            start, stop = self._offsets[captions[row]], self._offsets[captions[row] + 1]
            values[row, : stop - start] = self._array.slice(int(start), int(stop))
        return values


def write_word_features(path: Path, captions: TokenizedCaptions, width: int, encode: Encoder) -> None:
    """Encode every caption once, by length, and write (words, E) float16; nobody ever sees half a file.

    Args:
        path: ``.npy`` to write.
        captions: M.
        width: E.
        encode: the encoder.

    Raises:
        UserError: if the disk is too small or cannot be written, or the encoder's output does not fit float16.
    """
    needed = 2 * len(captions.tokens) * width
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
        if needed > free:
            raise UserError(
                f"word features {path}: need {needed / 2**30:.1f} GiB, {free / 2**30:.1f} are free; name another folder"
            )
        with whole_file(path, shared=True) as place:
            values = np.lib.format.open_memmap(place, "w+", np.float16, (len(captions.tokens), width))
            for rows in _by_length(captions):
                tokens, lengths = captions.rows(rows)
                with np.errstate(over="ignore"):
                    encoded = encode(tokens, lengths).astype(np.float16)
                real = np.arange(tokens.shape[1]) < lengths[:, None]
                if not np.isfinite(encoded[real]).all():
                    raise UserError(
                        "word features: the encoder's output does not fit float16; use backbone.bert.cache=null"
                    )
                places = captions.offsets[rows][:, None] + np.arange(tokens.shape[1])
                values[places[real]] = encoded[real]
            values.flush()
    except OSError as error:
        raise UserError(f"word features {path}: cannot be written ({error.strerror})") from error


def _by_length(captions: TokenizedCaptions) -> Iterator[np.ndarray]:
    order = np.argsort(captions.lengths, kind="stable")
    with tqdm(desc="encoding captions", total=len(order), unit=" captions", disable=None, leave=False) as bar:
        for start in range(0, len(order), _BATCH):
            yield order[start : start + _BATCH]
            bar.update(min(_BATCH, len(order) - start))
