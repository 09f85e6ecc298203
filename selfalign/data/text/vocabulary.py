"""Words and their ids."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from selfalign.data.text.words import WordSplitter, require_words, split_words, with_progress
from selfalign.errors import UserError, shown
from selfalign.files.plain_values import read_json
from selfalign.files.whole_files import write_whole

PAD, START, END, UNKNOWN = SPECIAL = ("<pad>", "<start>", "<end>", "<unk>")
_LARGEST_FILE = 64 * 2**20
"""Bytes; the vocabulary of COCO takes a third of a million."""


class Vocabulary:
    """A mapping of words to ids, and how captions were split into words.

    Args:
        ids: word → id; ids are 0 … V−1, and ``<pad> <start> <end> <unk>`` are 0, 1, 2, 3.
        tokenizer: see :func:`~selfalign.data.text.words.split_words`.

    Raises:
        UserError: if ids are missing, doubled or misplaced.
    """

    def __init__(self, ids: Mapping[str, int], tokenizer: WordSplitter = "nltk_line") -> None:
        if tokenizer not in get_args(WordSplitter):
            raise UserError(f"vocabulary: tokenizer expected one of {get_args(WordSplitter)}, got {shown(tokenizer)}")
        if [ids.get(word) for word in SPECIAL] != [0, 1, 2, 3]:
            raise UserError(f"vocabulary: {' '.join(SPECIAL)} must have the ids 0 1 2 3")
        if sorted(ids.values()) != list(range(len(ids))):
            raise UserError(f"vocabulary: the ids of {len(ids)} words must be 0 to {len(ids) - 1}, once each")
        self.ids = dict(ids)
        self.tokenizer = tokenizer

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def build(
        cls, captions: Sequence[str], minimum_count: int = 4, tokenizer: WordSplitter = "nltk_line"
    ) -> Vocabulary:
        """The words seen at least ``minimum_count`` times, in order of their first appearance.

        Raises:
            UserError: if ``tokenizer`` cannot cut such captions into words.
        """
        require_words(captions, tokenizer)
        if minimum_count < 1:
            raise ValueError(f"minimum_count: expected at least 1, got {minimum_count}")
        counts = Counter(
            word
            for caption in with_progress(captions, len(captions), "splitting words")
            for word in split_words(caption, tokenizer)
        )
        kept = [word for word, count in counts.items() if count >= minimum_count and word not in SPECIAL]
        return cls({word: index for index, word in enumerate([*SPECIAL, *kept])}, tokenizer)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"tokenizer": self.tokenizer, "ids": self.ids}

    @classmethod
    def from_dict(cls, record: Any, where: str = "vocabulary") -> Vocabulary:
        """The inverse of :meth:`to_dict`; also takes a bare word → id mapping."""
        if isinstance(record, dict) and "ids" not in record:
            record = {"ids": record}
        ids = record.get("ids") if isinstance(record, dict) else None
        if not isinstance(ids, dict) or not all(type(value) is int for value in ids.values()):
            raise UserError(f"{where}: expected a mapping of words to whole numbers")
        return cls(ids, record.get("tokenizer", "nltk_line"))

    def save(self, path: Path) -> None:
        """Write as JSON, into a folder that is made where it is missing.

        Raises:
            UserError: if the file is there, or cannot be written.
        """
        if path.exists():
            raise UserError(f"{path}: exists already; remove it, or choose another name")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(self.to_dict(), ensure_ascii=False, indent=1) + "\n")
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror})") from error

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read what :meth:`save` wrote.

        Raises:
            UserError: if the file is missing or not a vocabulary.
        """
        record = read_json(path, "vocabulary", _LARGEST_FILE)
        return cls.from_dict(record, f"vocabulary {path}")
