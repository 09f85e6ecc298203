"""Checks of what a tokenizer made of a split's captions: words it does not know, ends it cut off, captions made one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from selfalign.data.checks.findings import Finding
from selfalign.data.text.captions import TokenizedCaptions
from selfalign.data.text.tokenizers import CaptionTokenizer, check_unknown_share, unknown_words
from selfalign.errors import UserError, shown

_COLLAPSED = 0.1
"""Share of the captions that are cut and then the same as another: nothing can tell them apart any more."""


def token_findings(
    name: str, path: Path, texts: Sequence[str], captions: TokenizedCaptions, tokenizer: CaptionTokenizer
) -> Iterator[Finding]:
    """Unknown words, and captions that are cut.

    Args:
        name: of the split.
        path: of its captions.
        texts: the captions.
        captions: the same, as tokens.
        tokenizer: which made them.
    """
    about = f"{name} words"
    unknown, words = unknown_words(captions, tokenizer.unknown_id)
    share = unknown / words if words else 0.0
    try:
        check_unknown_share(share, str(path))
    except UserError as error:
        yield Finding("error", about, str(error))
        return
    if len(captions.cut):
        yield _cut_finding(about, path, texts, captions)
    known = f"{tokenizer.vocabulary_size:,} words or word pieces"
    yield Finding("ok", about, f"{share:.2%} unknown to {known}: {unknown:,} of {words:,}")


def _cut_finding(about: str, path: Path, texts: Sequence[str], captions: TokenizedCaptions) -> Finding:
    """How many captions are cut, and how many become another one: an error where they are many."""
    cut = np.zeros(len(captions), bool)
    cut[captions.cut] = True
    same = collapsed(texts, captions)
    same = same[cut[same]]
    longest = f"{int(captions.lengths.max())} word pieces, [CLS] and [SEP] counted"
    found = f"captions {path}: {len(captions.cut):,} of {len(captions):,} ({cut.mean():.1%}) are cut at {longest}"
    remedy = "backbone.bert.maximum_length raises it"
    if len(same) > _COLLAPSED * len(captions):
        first = int(same[0])
        text = f"{found}, which makes {len(same):,} the same as another, line {first + 1} the first"
        return Finding("error", about, f"{text} ({shown(texts[first])}); {remedy}")
    equal = f", {len(same):,} of them the same as another" if len(same) else ""
    return Finding("warning", about, f"{found}, line {int(captions.cut[0]) + 1} the first{equal}; {remedy}")


def collapsed(texts: Sequence[str], captions: TokenizedCaptions) -> np.ndarray:
    """(K,) captions with the tokens of an earlier or later one whose text, letters' case apart, is another."""
    groups: dict[bytes, list[int]] = {}
    for caption in range(len(captions)):
        tokens = captions.tokens[captions.offsets[caption] : captions.offsets[caption + 1]]
        groups.setdefault(tokens.tobytes(), []).append(caption)
    mixed = [
        members
        for members in groups.values()
        if len(members) > 1 and len({"".join(texts[caption].casefold().split()) for caption in members}) > 1
    ]
    return np.array(sorted(caption for members in mixed for caption in members), np.int64)
