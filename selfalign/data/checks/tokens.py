"""Checks of what a tokenizer made of a split's captions: words it does not know, ends it cut off, captions made one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from selfalign.data.checks.findings import Finding, counted
from selfalign.data.text.captions import TokenizedCaptions
from selfalign.data.text.tokenizers import CaptionTokenizer, check_unknown_share, unknown_share
from selfalign.errors import UserError, shown

_COLLAPSED = 0.1
"""Share of the captions; of other words than another caption's and yet the same tokens, they cannot be told apart."""


def token_findings(
    name: str, path: Path, texts: Sequence[str], captions: TokenizedCaptions, tokenizer: CaptionTokenizer
) -> Iterator[Finding]:
    """Unknown words, captions that are cut, and different captions with the same tokens.

    Args:
        name: of the split.
        path: of its captions.
        texts: the captions.
        captions: the same, as tokens.
        tokenizer: which made them.
    """
    about = f"{name} words"
    share = unknown_share(captions, tokenizer.unknown_id)
    try:
        check_unknown_share(share, str(path))
    except UserError as error:
        yield Finding("error", about, str(error))
        return
    same = collapsed(texts, captions)
    cut = np.zeros(len(captions), bool)
    cut[captions.cut] = True
    longest = f"{int(captions.lengths.max(initial=0))} word pieces, [CLS] and [SEP] counted"
    if len(same) > _COLLAPSED * len(captions):
        caption = int(same[0])
        why = f"{counted(len(captions.cut), 'caption')} cut at {longest}" if cut[same].any() else "unknown words"
        remedy = "raise backbone.bert.maximum_length" if cut[same].any() else "use a vocabulary with their words"
        yield Finding(
            "error",
            about,
            f"captions {path}: {len(same):,} of {len(captions):,} have the tokens of another caption with other words, "
            f"line {caption + 1} the first ({shown(texts[caption])}): {why}; {remedy}",
        )
        return
    if cut.any():
        equal = int(cut[same].sum())
        result = f", {equal:,} of them the same as another" if equal else ""
        yield Finding(
            "warning",
            about,
            f"captions {path}: {len(captions.cut):,} of {len(captions):,} ({len(captions.cut) / len(captions):.1%}) "
            f"are cut at {longest}, line {int(captions.cut[0]) + 1} the first{result}; "
            "backbone.bert.maximum_length raises it",
        )
    known = f"{share:.2%} unknown to {tokenizer.vocabulary_size:,} words or word pieces"
    yield Finding("ok", about, known)


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
