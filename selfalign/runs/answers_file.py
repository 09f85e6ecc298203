"""``answers.npz``: the first answers of every query of an evaluation, for evaluators other than ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from selfalign.files.whole_files import whole_file, write_whole

if TYPE_CHECKING:
    from torch import Tensor

    from selfalign.functional.search import Hits

ANSWERS = "answers.npz"
_SYSTEM = "selfalign"


def save_answers(i2t: Hits, t2i: Hits, image_of_caption: Tensor, path: Path) -> None:
    """Write ``i2t_rows`` int32, ``i2t_scores`` fp32 (N, K), the same of ``t2i`` (M, K), and ``image_of_caption`` (M,).

    Args:
        i2t, t2i: of :func:`selfalign.functional.search.answer_lists`.
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
