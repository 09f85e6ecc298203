"""``answers.npz``: the first answers of every query of an evaluation, for evaluators other than ours."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from selfalign.errors import UserError
from selfalign.files.regular_files import open_regular
from selfalign.files.whole_files import whole_file, write_whole

if TYPE_CHECKING:
    from torch import Tensor

    from selfalign.functional.search import Hits

ANSWERS = "answers.npz"
_SYSTEM = "selfalign"
_LARGEST = 16 * 2**30
"""Bytes; 5,000 answers of COCO's 30,000 queries take 1.2 billion."""
_AT_A_TIME = 4096


@dataclass(frozen=True, eq=False)
class KeptAnswers:
    """The first answers of every query, best first.

    Attributes:
        i2t: (N, K) int32, captions of each image, of those without a caption too.
        t2i: (M, L) int32, images of each caption.
        image_of_caption: (M,) int32.
    """

    i2t: np.ndarray
    t2i: np.ndarray
    image_of_caption: np.ndarray


def save_answers(i2t: Hits, t2i: Hits, image_of_caption: Tensor, path: Path) -> None:
    """Write ``i2t_rows`` int32, ``i2t_scores`` fp32 (N, K), the same of ``t2i`` (M, K), and ``image_of_caption`` (M,).

    Args:
        i2t, t2i: of :func:`selfalign.functional.lists.answer_lists`.
        image_of_caption: (M,).
        path: the file.
    """
    arrays: dict[str, Any] = {"image_of_caption": image_of_caption.cpu().numpy().astype(np.int32)}
    for side, hits in (("i2t", i2t), ("t2i", t2i)):
        arrays |= {f"{side}_rows": hits.rows.numpy().astype(np.int32), f"{side}_scores": hits.scores.numpy()}
    with whole_file(path) as place, place.open("wb") as file:
        np.savez(file, **arrays)  # compressed it would be a third smaller, for most of the time of finding the answers


def save_trec(i2t: Hits, t2i: Hits, image_of_caption: Tensor, folder: Path) -> None:
    """Write ``i2t.run``, ``i2t.qrels``, ``t2i.run`` and ``t2i.qrels``, as trec_eval, pytrec_eval and ranx read them.

    Image k is ``ik``, caption k is ``ck``. These programs order a list by its scores and equal ones by name, so the
    scores of the file fall by one from place to place; those of the model are in ``answers.npz``.
    """
    owners = image_of_caption.cpu().tolist()
    right: dict[int, list[int]] = {}
    for caption, image in enumerate(owners):
        right.setdefault(image, []).append(caption)
    for side, hits, asks, answers in (("i2t", i2t, "i", "c"), ("t2i", t2i, "c", "i")):
        lines = [
            f"{asks}{query} Q0 {answers}{row} {place} {len(rows) - place + 1} {_SYSTEM}\n"
            for query, rows in enumerate(hits.rows.tolist())
            for place, row in enumerate(rows, 1)
        ]
        write_whole(folder / f"{side}.run", "".join(lines))
        judged = right.items() if side == "i2t" else ((caption, [image]) for caption, image in enumerate(owners))
        qrels = [f"{asks}{query} 0 {answers}{row} 1\n" for query, rows in judged for row in rows]
        write_whole(folder / f"{side}.qrels", "".join(qrels))


def read_answers(path: Path) -> KeptAnswers:
    """Read what :func:`save_answers` wrote, but the scores; nothing in the file is trusted.

    Raises:
        UserError: if the file is missing, damaged, or holds anything else.
    """
    with open_regular(path, "answers", _LARGEST) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                    raise ValueError("compressed members")  # which could grow to any size
            file.seek(0)
            with np.load(file, allow_pickle=False) as kept:
                found = KeptAnswers(kept["i2t_rows"], kept["t2i_rows"], kept["image_of_caption"])
            _require_lists(found)
        except Exception as error:  # a damaged archive breaks the readers of zip and npy in a dozen ways
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise UserError(f"answers {path}: damaged ({reason}); evaluate the checkpoint again") from error
    return found


def _require_lists(found: KeptAnswers) -> None:
    owners = found.image_of_caption
    if owners.ndim != 1 or owners.dtype != np.int32 or not len(owners) or owners.min() < 0:
        raise ValueError("no image of each caption")
    images, captions = len(found.i2t), len(owners)
    if owners.max() >= images:
        raise ValueError("captions of images that are not there")
    for side, rows, queries, gallery in (("i2t", found.i2t, images, captions), ("t2i", found.t2i, captions, images)):
        if rows.ndim != 2 or rows.dtype != np.int32 or len(rows) != queries or not 0 < rows.shape[1] <= gallery:
            raise ValueError(
                f"{side}_rows: {rows.dtype} of shape {rows.shape}, of {images} images, {captions} captions"
            )
        if rows.min() < 0 or rows.max() >= gallery:
            raise ValueError(f"{side}_rows: expected rows from 0 to {gallery - 1}")
        for start in range(0, queries, _AT_A_TIME):
            ordered = np.sort(rows[start : start + _AT_A_TIME], axis=1)
            if (ordered[:, 1:] == ordered[:, :-1]).any():
                raise ValueError(f"{side}_rows: an answer twice")
