"""Captions as text and as flat arrays of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from selfalign.data.text.caption_forms import conversion_advice, distributed_form
from selfalign.errors import UserError
from selfalign.files.regular_files import open_regular

_LONGEST = 10_000
"""Characters of a caption."""
_LONGEST_LINE = 4 * _LONGEST + 8
"""Bytes of a line that can be a caption."""
_LARGEST_FILE = 256 * 2**20
"""Bytes; the 566,435 training captions of COCO are 30 million."""
_MOST_LINES = 3_000_000


def read_captions(path: Path) -> list[str]:
    """The captions of a file, one a line.

    Read as UTF-8 text, with or without byte-order mark, with Unix or Windows line ends; surrounding white space is
    dropped. Only line feeds end a line: captions may hold other separators.

    Raises:
        UserError: if the file is unreadable, not UTF-8, empty, has an empty caption, or holds the text of bytes
            objects (``b'...'``), whose words would all be unknown, or has another form in which captions are handed
            out, whose names of images would be words.
    """
    captions = []
    for number, caption in enumerate(caption_lines(path), start=1):
        if (problem := refused_caption(caption)) is not None:
            raise UserError(f"captions {path}: line {number} {problem}")
        captions.append(caption)
    if (form := distributed_form(captions)) is not None:
        raise UserError(conversion_advice(path, form))
    return captions


def caption_lines(path: Path) -> Iterator[str]:
    """The lines of a caption file, right or wrong, read one after the other.

    Raises:
        UserError: if the file is unreadable, not UTF-8, empty, or has a line that no caption can be.
    """
    offset = number = 0
    with open_regular(path, "captions", _LARGEST_FILE) as file:
        while line := file.readline(_LONGEST_LINE):
            number += 1
            if number > _MOST_LINES:
                raise UserError(f"captions {path}: more than {_MOST_LINES:,} lines; no such file is read")
            if len(line) == _LONGEST_LINE:
                if number == 1 and line.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"["):
                    raise UserError(conversion_advice(path, "JSON"))
                raise UserError(
                    f"captions {path}: line {number} has more than {_LONGEST:,} characters; expected one caption a line"
                )
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                place = offset + error.start
                raise UserError(f"captions {path}: not UTF-8 at byte {place}; convert the file to UTF-8") from error
            offset += len(line)
    if number == 0:
        raise UserError(f"captions {path}: the file is empty")


def refused_caption(caption: str) -> str | None:
    """Why a line cannot be a caption; ``None`` if it can."""
    if not caption:
        return "is empty; every caption needs at least one word"
    if len(caption) > _LONGEST:
        return f"has {len(caption):,} characters; expected one caption a line"
    if caption.startswith(("b'", 'b"')) and caption.endswith(caption[1]):
        return f"is the text of a bytes object ({caption[:30]}...)"
    return None


@dataclass(frozen=True, eq=False)
class TokenizedCaptions:
    """M captions as flat arrays, special tokens included.

    Attributes:
        tokens: (T,) int32, the ids of all captions one after the other.
        words: (T,) int16, index of the word that each token begins or continues, −1 for special tokens. Words are
            the tokenizer's own; where plain words stand between single spaces all tokenizers agree on them.
        offsets: (M + 1,) int64, where each caption starts.
        pad_id: fills the end of a batch's shorter captions.
        cut: (K,) int64, captions of which the tokenizer left out the end.
    """

    tokens: np.ndarray
    words: np.ndarray
    offsets: np.ndarray
    pad_id: int
    cut: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    @classmethod
    def pack(
        cls, tokens: list[list[int]], words: list[list[int]], pad_id: int, cut: Sequence[int] = ()
    ) -> TokenizedCaptions:
        """Flat arrays from one list a caption."""
        lengths = np.fromiter((len(caption) for caption in tokens), np.int64, len(tokens))
        total = int(lengths.sum())
        return cls(
            np.fromiter((token for caption in tokens for token in caption), np.int32, total),
            np.fromiter((word for caption in words for word in caption), np.int16, total),
            np.concatenate([[0], np.cumsum(lengths)]),
            pad_id,
            np.asarray(cut, np.int64),
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """(M,) int64 tokens of each caption."""
        return np.diff(self.offsets)

    @property
    def longest_bytes(self) -> int:
        """Size of the longest caption in a batch."""
        return 8 * int(self.lengths.max(initial=0))

    def lengths_of(self, captions: np.ndarray) -> np.ndarray:
        """(B,) int64 tokens of ``captions`` (B,)."""
        return self.offsets[captions + 1] - self.offsets[captions]

    def rows(self, captions: np.ndarray, width: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(B, W) int64 padded token ids and (B,) int64 lengths of ``captions`` (B,); W = ``width`` or the longest."""
        starts, lengths = self.offsets[captions], self.lengths_of(captions)
        places = np.arange(int(lengths.max()) if width is None else width)
        real = places < lengths[:, None]
        tokens = np.full(real.shape, self.pad_id, np.int64)
        tokens[real] = self.tokens[(starts[:, None] + places)[real]]
        return tokens, lengths

    def first(self, captions: int) -> TokenizedCaptions:
        """The first ``captions`` of these."""
        end = self.offsets[captions]
        cut = self.cut[self.cut < captions]
        return TokenizedCaptions(self.tokens[:end], self.words[:end], self.offsets[: captions + 1], self.pad_id, cut)

    def token_of(self, caption: int, word: int) -> int | None:
        """Place in the caption of the first token of a word, ``None`` where it was cut off."""
        places = np.flatnonzero(self.words[self.offsets[caption] : self.offsets[caption + 1]] == word)
        return int(places[0]) if len(places) else None
