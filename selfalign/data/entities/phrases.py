"""Phrases of the captions of a split: which tokens say them, and where what they name is."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from selfalign.data.dataset import Split
from selfalign.data.entities.annotations import ImageBoxes, read_annotations
from selfalign.data.entities.sentences import NOT_VISUAL, MarkedSentence, read_sentences
from selfalign.data.photographs import Photos
from selfalign.data.regions.positions import open_positions
from selfalign.data.text.little_words import is_little
from selfalign.data.text.tokenizers import CaptionTokenizer
from selfalign.errors import UserError

OTHER_SENTENCE = "captions without a sentence of these words"
NO_BOX, UNSEEN = "phrases without a box", "phrases that are not visual"
_SENTENCES, _ANNOTATIONS = "Sentences", "Annotations"


@dataclass(frozen=True, eq=False)
class Phrase:
    """A phrase whose boxes are known.

    Attributes:
        caption, image: rows in the split.
        text: its words.
        types: as ``("people",)``.
        tokens: places of the first tokens of its words in the caption; empty where all were cut off.
        boxes: (K, 4) float32, x1 y1 x2 y2 in the pixels of the regions' boxes.
    """

    caption: int
    image: int
    text: str
    types: tuple[str, ...]
    tokens: tuple[int, ...]
    boxes: np.ndarray


@dataclass(frozen=True, eq=False)
class Phrases:
    """Those of a split.

    Attributes:
        phrases: in the order of captions.
        left_out: how many captions and phrases of the split count for nothing, by reason.
    """

    phrases: tuple[Phrase, ...]
    left_out: Counter[str]


def read_phrases(folder: Path, split: Split, tokenizer: CaptionTokenizer) -> Phrases:
    """The phrases of a split's captions, found by the photographs' names and the captions' words.

    Args:
        folder: with ``Sentences`` and ``Annotations``.
        split: with boxes and names of its photographs.
        tokenizer: that made its tokens.

    Raises:
        UserError: if files are missing or damaged, or the two are of different images.
    """
    for name in (_SENTENCES, _ANNOTATIONS):
        if not (folder / name).is_dir():
            raise UserError(f"entities {folder}: no folder {name}; expected Flickr30K Entities, unpacked")
    if split.files.images is None:
        place = split.files.root / f"{split.files.split}_images.txt"
        raise UserError(f"entities: nothing tells the photographs' names; add {place}, one file name an image")
    photos = Photos(split.files, None)
    positions = split.positions or open_positions(split.files, split.features, split.box_unit)
    _, sizes = positions.raw(np.arange(split.images))
    found: list[Phrase] = []
    left_out: Counter[str] = Counter()
    for image in range(split.images):
        name = Path(photos.name(image)).stem
        sentences = {_plain("".join(one.words)): one for one in read_sentences(folder / _SENTENCES / f"{name}.txt")}
        boxes = read_annotations(folder / _ANNOTATIONS / f"{name}.xml")
        for caption in np.flatnonzero(split.image_of_caption == image).tolist():
            words = tokenizer.words(split.texts[caption])
            sentence = sentences.get(_plain("".join(split.texts[caption].split())))
            if sentence is None or _plain("".join(words)) != _plain("".join(sentence.words)):
                left_out[OTHER_SENTENCE] += 1
                continue
            found += _of_caption(split, caption, image, words, sentence, boxes, sizes[image], left_out)
    if not found:
        raise UserError(f"entities {folder}: no phrase of split {split.files.split} has a box; {_told(left_out)}")
    return Phrases(tuple(found), left_out)


def _of_caption(
    split: Split,
    caption: int,
    image: int,
    words: Sequence[str],
    sentence: MarkedSentence,
    boxes: ImageBoxes,
    size: np.ndarray,
    left_out: Counter[str],
) -> list[Phrase]:
    found = []
    # The file's pixels → those of the regions' boxes; the same factor leaves every overlap as it is.
    scale = np.ones(4, np.float32) if boxes.size is None else np.tile(size / np.asarray(boxes.size, np.float32), 2)
    for phrase in sentence.phrases:
        if phrase.id == NOT_VISUAL:
            left_out[UNSEEN] += 1
        elif phrase.id not in boxes.boxes:
            left_out[NO_BOX] += 1
        else:
            places = spoken(words, sentence.words, phrase.first, phrase.last)
            tokens = [split.captions.token_of(caption, place) for place in places]
            found.append(
                Phrase(
                    caption,
                    image,
                    " ".join(sentence.words[phrase.first : phrase.last + 1]),
                    phrase.types,
                    tuple(token for token in tokens if token is not None),
                    boxes.boxes[phrase.id] * scale,
                )
            )
    return found


def spoken(words: Sequence[str], sentence: Sequence[str], first: int, last: int) -> list[int]:
    """Places in ``words`` of the words from ``first`` to ``last`` of a sentence that another tokenizer split.

    Both have the same letters and digits. Little words are left out unless the phrase has no others.

    Example:
        >>> spoken(["a", "dog", "'s", "tail", "."], ["A", "dog's", "tail", "."], 0, 1)
        [1]
    """
    start = len(_plain("".join(sentence[:first])))
    end = start + len(_plain("".join(sentence[first : last + 1])))
    found, place = [], 0
    for number, word in enumerate(words):
        following = place + len(_plain(word))
        if place < end and following > start and following > place:
            found.append(number)
        place = following
    large = [number for number in found if not is_little(words[number])]
    return large or found


def _plain(text: str) -> str:
    """Letters and digits only, without case and accents: what all tokenizers keep."""
    return "".join(sign for sign in unicodedata.normalize("NFKD", text).casefold() if sign.isalnum())


def _told(left_out: Counter[str]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in left_out.items()) or "no captions"
