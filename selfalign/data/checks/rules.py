"""The rules that a split has to keep: training stops at the first that is broken, the check goes through all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from selfalign.data.checks.array_checks import box_findings, feature_findings
from selfalign.data.checks.findings import Finding
from selfalign.data.checks.text import caption_findings, id_findings, image_name_findings
from selfalign.data.checks.tokens import token_findings
from selfalign.data.layout import SplitFiles
from selfalign.data.regions.features import RegionFeatures
from selfalign.data.regions.positions import BoxPositions, Positions
from selfalign.data.text.captions import TokenizedCaptions
from selfalign.data.text.tokenizers import CaptionTokenizer


def split_findings(
    files: SplitFiles,
    texts: Sequence[str] | None,
    features: RegionFeatures | None,
    positions: Positions | None,
    owners: np.ndarray | None = None,
    *,
    full: bool = False,
) -> Iterator[Finding]:
    """What the files of a split hold, as far as they could be opened: small ones whole, large ones by a sample.

    Args:
        files: of the split.
        texts: its captions.
        features: of its images.
        positions: of their boxes, for models that read them.
        owners: (M,) image of each caption.
        full: read every value.
    """
    name = files.split
    if features is not None:
        yield from feature_findings(name, features, full=full)
        if isinstance(positions, BoxPositions):
            yield from box_findings(name, positions, features.images)
    if texts is not None:
        yield from caption_findings(name, files.captions, texts, owners, 0 if features is None else features.images)
    if features is not None and files.ids is not None:
        yield from id_findings(files, owners, features.images)
    if files.images is not None:
        yield from image_name_findings(name, files.images)


def word_findings(
    files: SplitFiles, texts: Sequence[str], captions: TokenizedCaptions, tokenizer: CaptionTokenizer
) -> Iterator[Finding]:
    """What the run's tokenizer makes of the captions that it uses."""
    return token_findings(files.split, files.captions, texts, captions, tokenizer)
