"""Captions → token ids: words for VSRN, word pieces for CAMERA."""

from __future__ import annotations

import json
import os
import unicodedata
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tokenizers

from selfalign.data.text.captions import TokenizedCaptions
from selfalign.data.text.vocabulary import END, PAD, START, UNKNOWN, Vocabulary
from selfalign.data.text.words import split_words, with_progress
from selfalign.errors import UserError, shown
from selfalign.files.plain_values import read_json
from selfalign.files.regular_files import read_regular

_ABSURD_UNKNOWN_SHARE = 0.3
_MOST_PIECES = 10_000
_HUB_TIMEOUT = 10.0  # seconds
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_LARGEST_VOCABULARY = 64 * 2**20
_LONGEST_WORD = 10_000
"""Characters; Thai and Japanese have no spaces, and the library's 100 would make such captions unknown."""
_SPECIAL = {
    "pad": ("[PAD]", "<pad>"),
    "unknown": ("[UNK]", "<unk>"),
    "mask": ("[MASK]", "<mask>", "[UNK]", "<unk>"),
}
_READS_VOCABULARY_FILE = ("bert", "distilbert", "electra")
"""Types of models whose tokenizer a ``vocab.txt`` alone describes."""
_BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class CaptionTokenizer(Protocol):
    """What the data module and the backbones need of a tokenizer.

    Attributes:
        vocabulary_size: ids are below it.
        pad_id: fills the end of shorter captions.
        unknown_id: of words that it does not know.
        hidden_id: stands for a word that is hidden in training: BERT's mask, or that of unknown words.
    """

    vocabulary_size: int
    pad_id: int
    unknown_id: int
    hidden_id: int

    def encode(self, captions: Sequence[str]) -> TokenizedCaptions:
        """Token ids of captions, special tokens included."""

    def words(self, caption: str) -> list[str]:
        """The words of a caption as :attr:`TokenizedCaptions.words` counts them, those that are cut off too."""

    def state(self) -> dict[str, Any]:
        """Plain values from which :func:`tokenizer_from_state` rebuilds it."""


class WordTokenizer:
    """``<start>`` lower-cased words ``<end>``.

    Args:
        vocabulary: words and ids, and how captions are split.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.vocabulary_size = len(vocabulary)
        self.pad_id = vocabulary.ids[PAD]
        self.unknown_id = self.hidden_id = vocabulary.ids[UNKNOWN]

    def encode(self, captions: Sequence[str]) -> TokenizedCaptions:
        """See :class:`CaptionTokenizer`."""
        ids = self.vocabulary.ids
        words = [
            split_words(caption, self.vocabulary.tokenizer)
            for caption in with_progress(captions, len(captions), "tokenising")
        ]
        return TokenizedCaptions.pack(
            [[ids[START], *(ids.get(word, self.unknown_id) for word in caption), ids[END]] for caption in words],
            [[-1, *range(len(caption)), -1] for caption in words],
            self.pad_id,
        )

    def words(self, caption: str) -> list[str]:
        """See :class:`CaptionTokenizer`."""
        return list(split_words(caption, self.vocabulary.tokenizer))

    def state(self) -> dict[str, Any]:
        """See :class:`CaptionTokenizer`."""
        return {"kind": "words", "vocabulary": self.vocabulary.to_dict()}


class WordPieceTokenizer:
    """``[CLS]`` word pieces ``[SEP]``, cut to a maximum length.

    Args:
        backend: JSON of a ``tokenizers.Tokenizer`` with its own post-processing.
        maximum_length: word pieces, special ones counted; 32 as published.
        special: the tokens for ``pad``, ``unknown`` and ``mask``, where they are not those that are looked for first.
    """

    def __init__(self, backend: str, maximum_length: int = 32, special: Mapping[str, str] | None = None) -> None:
        if not 3 <= maximum_length <= _MOST_PIECES:
            raise UserError(f"bert.maximum_length: expected 3 to {_MOST_PIECES:,} word pieces, got {maximum_length}")
        try:
            self._backend = tokenizers.Tokenizer.from_str(backend)
            self._backend.no_padding()
            self._backend.enable_truncation(maximum_length)
        except Exception as error:  # the library raises no other type
            raise UserError(f"tokenizer: not a record of the tokenizers library ({str(error)[:120]})") from error
        self.maximum_length = maximum_length
        self.vocabulary_size = self._backend.get_vocab_size()
        self.special = dict(special or {})
        self.pad_id = self._special("pad")
        self.unknown_id = self._special("unknown")
        self.hidden_id = self._special("mask")

    def _special(self, use: str) -> int:
        names = [self.special[use]] if use in self.special else _SPECIAL[use]
        for name in names:
            if (identity := self._backend.token_to_id(name)) is not None:
                return identity
        raise UserError(f"tokenizer: none of the tokens {', '.join(names)} is in its vocabulary")

    @classmethod
    def from_pretrained(cls, source: str, maximum_length: int = 32) -> WordPieceTokenizer:
        """The tokenizer of a hub name or of a local folder, which may hold ``vocab.txt`` only.

        Raises:
            UserError: if the hub cannot be reached or the folder has no tokenizer.
        """
        folder = Path(source).expanduser()
        if folder.is_dir():
            os.environ.setdefault("HF_HUB_OFFLINE", "1")
            for name in _TOKENIZER_FILES:
                if (folder / name).is_file() and not isinstance(read_json(folder / name, "tokenizer"), dict):
                    raise UserError(f"tokenizer {folder / name}: expected named values")
            if not (folder / "tokenizer.json").is_file() and _is_of_bert(folder):
                return cls(_from_vocabulary_file(folder / "vocab.txt"), maximum_length)
            source = str(folder)
        from transformers import AutoTokenizer

        try:
            if not folder.is_dir():
                _reach_hub(source)
            loaded = AutoTokenizer.from_pretrained(source)
            backend = loaded.backend_tokenizer.to_str()
            named = {"pad": loaded.pad_token, "unknown": loaded.unk_token or loaded.pad_token}
            named["mask"] = loaded.mask_token or named["unknown"]
        except Exception as error:  # the library raises a dozen types on files that are damaged
            advice = (
                "check its files, or download it again"
                if folder.is_dir()
                else "if the hub is out of reach, download the model elsewhere and pass its folder: "
                "backbone.bert.source=DIR"
            )
            reason = str(error).strip().split("\n")[0][:160] or type(error).__name__
            raise UserError(f"tokenizer of {source!r} cannot be loaded ({reason}); {advice}") from error
        return cls(backend, maximum_length, _unusual(backend, named))

    @classmethod
    def from_captions(
        cls, captions: Sequence[str], vocabulary_size: int, maximum_length: int = 32
    ) -> WordPieceTokenizer:
        """A small vocabulary of the captions' own: every character, and the most frequent words, lower-cased.

        Words are counted as the finished tokenizer will see them, whatever their script. Accents and vowel signs stay:
        without them, words of Hindi or Thai are others. The learner of the tokenizers library breaks ties at random, so
        that two runs of one seed would differ.
        """
        normalizer, splitter = _own_normalizer(), tokenizers.pre_tokenizers.BertPreTokenizer()
        counts = Counter(
            word for caption in captions for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(caption))
        )
        characters = sorted({character for word in counts for character in word})
        pieces = [*_BERT_SPECIAL, *characters, *(f"##{character}" for character in characters)]
        words = sorted((word for word in counts if len(word) > 1), key=lambda word: (-counts[word], word))
        pieces += words[: max(0, vocabulary_size - len(pieces))]
        model = tokenizers.models.WordPiece(
            {piece: index for index, piece in enumerate(pieces)},
            unk_token="[UNK]",
            max_input_chars_per_word=_LONGEST_WORD,
        )
        backend = tokenizers.Tokenizer(model)
        backend.normalizer, backend.pre_tokenizer = normalizer, splitter
        backend.add_special_tokens(list(_BERT_SPECIAL))
        return cls(_with_bert_frame(backend), maximum_length)

    def encode(self, captions: Sequence[str]) -> TokenizedCaptions:
        """See :class:`CaptionTokenizer`."""
        encodings = self._backend.encode_batch(list(captions))
        return TokenizedCaptions.pack(
            [encoding.ids for encoding in encodings],
            [[-1 if word is None else word for word in encoding.word_ids] for encoding in encodings],
            self.pad_id,
            [caption for caption, encoding in enumerate(encodings) if encoding.overflowing],
        )

    def words(self, caption: str) -> list[str]:
        """See :class:`CaptionTokenizer`."""
        encoding = self._backend.encode(caption)
        ends: dict[int, tuple[int, int]] = {}
        for part in (encoding, *encoding.overflowing):
            for word, (start, end) in zip(part.word_ids, part.offsets, strict=True):
                if word is not None:
                    ends[word] = (ends.get(word, (start, end))[0], end)
        return [caption[start:end] for _, (start, end) in sorted(ends.items())]

    def state(self) -> dict[str, Any]:
        """See :class:`CaptionTokenizer`."""
        state = {"kind": "word_pieces", "backend": self._backend.to_str(), "maximum_length": self.maximum_length}
        return state | ({"special": self.special} if self.special else {})


def tokenizer_from_state(state: dict[str, Any]) -> CaptionTokenizer:
    """The tokenizer whose ``state()`` this is."""
    if state.get("kind") == "words":
        return WordTokenizer(Vocabulary.from_dict(state["vocabulary"], "vocabulary of the checkpoint"))
    if state.get("kind") == "word_pieces":
        return WordPieceTokenizer(state["backend"], state["maximum_length"], state.get("special"))
    raise UserError(f"tokenizer: unknown kind {shown(state.get('kind'))}")


def unknown_words(tokenized: TokenizedCaptions, unknown_id: int) -> tuple[int, int]:
    """How many words are unknown, and how many there are; of word pieces, a piece counts as a word."""
    words = tokenized.tokens[tokenized.words >= 0]
    return int(np.sum(words == unknown_id)), len(words)


def unknown_share(tokenized: TokenizedCaptions, unknown_id: int) -> float:
    """Share of unknown ones among all words."""
    unknown, words = unknown_words(tokenized, unknown_id)
    return unknown / words if words else 0.0


def check_unknown_share(share: float, where: str) -> None:
    """Refuse captions that are mostly unknown to the vocabulary: it is another language or data set.

    Raises:
        UserError: above 30 %.
    """
    if share > _ABSURD_UNKNOWN_SHARE:
        raise UserError(
            f"captions {where}: {share:.0%} of the words are unknown to the vocabulary; it belongs to other captions"
        )


def _is_of_bert(folder: Path) -> bool:
    """Whether ``vocab.txt`` of a folder is all that its tokenizer is made of."""
    if not (folder / "vocab.txt").is_file():
        return False
    path = folder / "config.json"
    settings = read_json(path, "BERT settings") if path.is_file() else {}
    return not isinstance(settings, dict) or settings.get("model_type", "bert") in _READS_VOCABULARY_FILE


def _first_there(backend: tokenizers.Tokenizer, names: Sequence[str]) -> str | None:
    return next((name for name in names if backend.token_to_id(name) is not None), None)


def _unusual(backend: str, named: Mapping[str, str | None]) -> dict[str, str]:
    """Those special tokens of a model that would not be found under the usual names, as MPNet's, which has two pads."""
    usual = tokenizers.Tokenizer.from_str(backend)
    return {use: name for use, name in named.items() if name is not None and name != _first_there(usual, _SPECIAL[use])}


def _reach_hub(name: str) -> None:
    """Ask the hub once, unless the model is in its cache: the hub's own client retries for a minute."""
    from huggingface_hub import constants, try_to_load_from_cache

    if not constants.HF_HUB_OFFLINE and not isinstance(try_to_load_from_cache(name, "config.json"), str):
        request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
        try:
            urllib.request.urlopen(request, timeout=_HUB_TIMEOUT).close()
        except urllib.error.HTTPError:
            return  # it answered


def _from_vocabulary_file(path: Path) -> str:
    text = read_regular(path, "tokenizer", _LARGEST_VOCABULARY)
    try:
        pieces = [line for line in text.decode("utf-8").splitlines() if not line.startswith("[")]
        cased = any(piece != piece.lower() for piece in pieces)  # a lower-cased vocabulary has no capitals at all
        accented = any(map(_has_accent, pieces))
        said = path.with_name("tokenizer_config.json")
        settings = read_json(said, "tokenizer") if said.is_file() else {}
        lowercase = bool(settings.get("do_lower_case", not cased))
        strip = settings.get("strip_accents")
        backend = tokenizers.BertWordPieceTokenizer(
            str(path),
            lowercase=lowercase,
            strip_accents=(lowercase and not accented) if strip is None else bool(strip),
            handle_chinese_chars=bool(settings.get("tokenize_chinese_chars", True)),
        )
    except UserError:
        raise
    except Exception as error:  # the library raises no other type
        raise UserError(f"tokenizer {path}: not a BERT vocabulary ({str(error)[:120]})") from error
    return _with_bert_frame(backend)


def _has_accent(piece: str) -> bool:
    """Whether a letter of Latin, Greek or Cyrillic has an accent, which a tokenizer that strips them never gives."""
    return any(
        len(parts := unicodedata.normalize("NFD", letter)) > 1 and unicodedata.category(parts[1]) == "Mn"
        for letter in piece
        if "\u00c0" <= letter <= "\u04ff" or "\u1e00" <= letter <= "\u1fff"
    )


def _own_normalizer() -> tokenizers.normalizers.Normalizer:
    """One form for each letter, control characters out, spaces around Chinese characters, lower case."""
    return tokenizers.normalizers.Sequence(
        [tokenizers.normalizers.NFC(), tokenizers.normalizers.BertNormalizer(strip_accents=False, lowercase=True)]
    )


def _with_bert_frame(backend: tokenizers.Tokenizer | tokenizers.BertWordPieceTokenizer) -> str:
    """JSON of the backend with ``[CLS]`` and ``[SEP]`` around every caption."""
    record = json.loads(backend.to_str())
    frame = {name: backend.token_to_id(name) for name in ("[CLS]", "[SEP]")}
    record["post_processor"] = {
        "type": "BertProcessing",
        "sep": ["[SEP]", frame["[SEP]"]],
        "cls": ["[CLS]", frame["[CLS]"]],
    }
    return json.dumps(record)
