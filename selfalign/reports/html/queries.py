"""The queries that an evaluation asked, with their words and pictures, where its data are still at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from selfalign.data.layout import find_split
from selfalign.data.ownership import OwnedFeatures, open_features
from selfalign.data.photographs import Photos
from selfalign.data.subset import from_ranges
from selfalign.data.text.captions import read_captions
from selfalign.errors import UserError
from selfalign.runs.ranks_file import QueryRanks, fingerprint


@dataclass(frozen=True, eq=False)
class Queries:
    """Captions and photographs of an evaluation, in the order of its ranks.

    Attributes:
        texts: the M captions.
        image_of_caption: (M,) image of each, counted among those that are queries.
        photographs: of the images; ``None`` where nothing tells where they are.
        rows: (N,) row in the split of each image that is a query.
        gallery: (G,) row in the split of each image that is ranked.
        regions: (N,) regions of each image that is a query; ``None`` where all have the same number.
        folder: of the data.
    """

    texts: list[str]
    image_of_caption: np.ndarray
    photographs: Photos | None
    rows: np.ndarray
    gallery: np.ndarray
    regions: np.ndarray | None
    folder: Path

    def captions_of(self, image: int) -> list[str]:
        """The captions of an image."""
        return [self.texts[row] for row in np.flatnonzero(self.image_of_caption == image)]

    @property
    def lengths(self) -> np.ndarray:
        """(M,) words of each caption; signs without a letter or digit are none."""
        return np.array([sum(any(map(str.isalnum, word)) for word in text.split()) for text in self.texts])


def find_queries(
    record: Mapping[str, Any], ranks: QueryRanks, data: Path | None = None, images: Path | None = None
) -> Queries:
    """The queries behind the ranks of an evaluation.

    Args:
        record: ``results.json`` of it.
        ranks: of it.
        data: folder of the data; ``None`` for where they were.
        images: folder of the photographs; ``None`` for where they were, or those of the data.

    Raises:
        UserError: if the data are not there, or are not those that were evaluated.
    """
    try:
        split, settings = str(record["split"]), record["models"][0]["data"]
        root = Path(record["data_root"]) if data is None else data
        same = data is None and Path(str(settings["root"])) == Path(str(record["data_root"]))
        kept = settings.get("images") if same else None  # photographs of other data may have the same names
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise UserError(f"the record of the evaluation names no data ({type(error).__name__})") from error
    files = find_split(root, split)
    texts = read_captions(files.captions)
    owned, whole = open_features(files, len(texts)), ""
    owners = owned.image_of_caption
    if (subset := record.get("subset")) is not None:
        if subset.get("gallery") == "whole":
            whole = fingerprint(texts, owners.tolist())
        texts, owners = _chosen(subset, texts, owners)
    count = len(ranks.image_of_caption)
    texts, owners = texts[:count], owners[:count]  # captions may have been limited to the first ones
    rows, places = np.unique(owners, return_inverse=True)
    in_subset = subset is not None and not whole  # where images are counted anew
    known = fingerprint(texts, (places if in_subset else owners).tolist(), whole)
    if len(texts) != count or known != ranks.queries:
        raise UserError(f"{root}: the captions of split {split} are not those that were evaluated")
    gallery = rows if in_subset else np.arange(owned.features.images)
    return Queries(texts, places, _photographs(files, images, kept), rows, gallery, _regions(owned, rows), root)


def _regions(owned: OwnedFeatures, rows: np.ndarray) -> np.ndarray | None:
    mask = owned.features.mask(rows)
    return None if mask is None else mask.sum(axis=1)


def _chosen(subset: Any, texts: list[str], owners: np.ndarray) -> tuple[list[str], np.ndarray]:
    try:
        rows = from_ranges(str(subset["captions"]), len(texts))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"the record of the evaluation names no subset of these captions ({error})") from error
    return [texts[row] for row in rows.tolist()], owners[rows]


def _photographs(files: Any, named: Path | None, kept: Any) -> Photos | None:
    if named is not None:
        return Photos(files, named)
    try:
        return Photos(files, Path(kept) if isinstance(kept, str) and Path(kept).is_dir() else None)
    except UserError:  # a folder that was named by the run and is no longer what it was
        return None
