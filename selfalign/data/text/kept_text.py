"""Tokens and vocabularies of large caption files, kept between runs: NLTK takes minutes for those of COCO.

They lie in the folder of :mod:`selfalign.files.kept`; it may be deleted at any time. A file is named after everything
that it follows from, so that none can be mistaken for another.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from selfalign.data.text.captions import TokenizedCaptions
from selfalign.data.text.tokenizers import CaptionTokenizer
from selfalign.data.text.vocabulary import Vocabulary
from selfalign.data.text.words import WordSplitter
from selfalign.errors import UserError
from selfalign.files.kept import kept_folder, note_use
from selfalign.files.whole_files import whole_file

_WORTH_KEEPING = 50_000
"""Captions; fewer take seconds."""
_FORMAT = 2
_ARRAYS = ("tokens", "words", "offsets", "cut")


def kept_tokens(tokenizer: CaptionTokenizer, captions: Sequence[str]) -> TokenizedCaptions:
    """``tokenizer.encode(captions)``, from a file where it was computed before."""
    if len(captions) < _WORTH_KEEPING:
        return tokenizer.encode(captions)
    path = kept_folder() / f"tokens-{_name(captions, tokenizer.state())}.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            found = TokenizedCaptions(pad_id=int(file["pad_id"]), **{name: file[name] for name in _ARRAYS})
        note_use(path, _described(captions))
        return found
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        found = tokenizer.encode(captions)
    _keep(path, lambda part: _save_tokens(found, part), captions)
    return found


def kept_vocabulary(
    captions: Sequence[str], minimum_count: int = 4, tokenizer: WordSplitter = "nltk_line"
) -> Vocabulary:
    """``Vocabulary.build(captions, ...)``, from a file where it was computed before."""
    if len(captions) < _WORTH_KEEPING:
        return Vocabulary.build(captions, minimum_count, tokenizer)
    path = kept_folder() / f"vocabulary-{_name(captions, [minimum_count, tokenizer])}.json"
    try:
        found = Vocabulary.load(path)
        note_use(path, _described(captions))
        return found
    except UserError:
        found = Vocabulary.build(captions, minimum_count, tokenizer)
    _keep(path, found.save, captions)
    return found


def _name(captions: Sequence[str], settings: Any) -> str:
    versions = [metadata.version(name) for name in ("nltk", "regex", "tokenizers")]
    digest = hashlib.blake2b(json.dumps([_FORMAT, versions, settings], sort_keys=True).encode(), digest_size=16)
    for caption in captions:
        digest.update(b"\n" + caption.encode())  # no caption holds a line feed
    return digest.hexdigest()


def _save_tokens(tokens: TokenizedCaptions, path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, pad_id=tokens.pad_id, **{name: getattr(tokens, name) for name in _ARRAYS})


def _described(captions: Sequence[str]) -> str:
    return f"{len(captions):,} captions, first: {captions[0][:40]}"


def _keep(path: Path, write: Callable[[Path], None], captions: Sequence[str]) -> None:
    """Write a file; a folder that cannot be written costs time only."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, shared=True) as place:
            write(place)
        note_use(path, _described(captions))
