"""The kept answers of one evaluation, judged by ECCV Caption, CxC and COCO's own captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from selfalign.errors import UserError
from selfalign.metrics.list_precision import list_precision
from selfalign.reports.comparison.resampling import bootstrap, interval
from selfalign.reports.eccv.gallery_ids import GalleryIds, gallery_ids
from selfalign.reports.eccv.official import DEPTHS, EXTENDED, MEASURES, Figures, Lists, Official
from selfalign.runs.answers_file import ANSWERS, KeptAnswers, read_answers
from selfalign.runs.reading import Run, read_run
from selfalign.runs.results import DIRECTIONS, environment

FEWEST_ANSWERS = 500
DRAWS = 10_000
_SAME = {"full": "coco_5k", "coco_1k_5fold": "coco_1k"}
"""Our protocols, and what the package calls the same figures."""
_EXACT = 1e-9
_FOLD_IMAGES = 1000
_AGAIN = "python eval.py checkpoints=RUN split={split} save_answers={count}"


@dataclass(frozen=True, eq=False)
class Judgement:
    """What was found.

    Attributes:
        run: folder of the evaluation.
        split: the evaluated one.
        images, captions: of it.
        depth: answers of every query, the fewer of both directions.
        caption_order: what the order of the captions inside an image was taken from.
        package: version of ``eccv_caption``.
        queries: how many, by ground truth and direction.
        figures: percent.
        intervals: of ECCV Caption's figures, 95 %, by direction and name.
        draws, seed: of the bootstrap that gave them.
        same: our protocols whose recalls the package found too.
    """

    run: Path
    split: str
    images: int
    captions: int
    depth: int
    caption_order: str
    package: str
    queries: Mapping[str, Mapping[str, int]]
    figures: Figures
    intervals: Mapping[str, Mapping[str, tuple[float, float]]]
    draws: int
    seed: int
    same: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in ``eccv.json``."""
        found = environment()
        return {
            "split": self.split,
            "images": self.images,
            "captions": self.captions,
            "answers": self.depth,
            "caption_order": self.caption_order,
            "queries": self.queries,
            "figures": self.figures,
            "intervals": {EXTENDED: {s: {n: list(v) for n, v in of.items()} for s, of in self.intervals.items()}},
            "draws": self.draws,
            "seed": self.seed,
            "equal_to_results": list(self.same),
            "versions": found["versions"] | {"eccv_caption": self.package},
            "git_commit": found["git_commit"],
        }


def judge(folder: Path, data: Path, split: str = "testall", draws: int = DRAWS, seed: int = 0) -> Judgement:
    """Judge an evaluation of COCO's 5,000 test images.

    Args:
        folder: of eval.py or train.py, with ``answers.npz``.
        data: the data folder that it read.
        split: the evaluated one.
        draws, seed: of the bootstrap.

    Raises:
        UserError: if it is no such evaluation, keeps too few answers, its rows are not proven to be COCO's, or the
            package finds other COCO recalls in the answers than ``results.json`` has.
    """
    official = Official.load()
    run = read_run(folder)
    if not (folder / ANSWERS).exists():
        raise UserError(f"run {folder}: keeps no answers; {_again(split)}")
    answers = read_answers(folder / ANSWERS)
    _require_whole(run, answers, split, official)
    ids = gallery_ids(data, split, official, run.queries)
    lists = by_ids(answers, ids)
    figures = official.figures(lists)
    require_same_recalls(run, figures)
    return Judgement(
        folder,
        split,
        len(ids.images),
        len(ids.captions),
        min(answers.i2t.shape[1], answers.t2i.shape[1]),
        ids.order,
        official.version,
        official.queries,
        figures,
        intervals(official, lists, figures, ids, draws, seed),
        draws,
        seed,
        tuple(protocol for protocol in _SAME if protocol in run.protocols),
    )


def by_ids(answers: KeptAnswers, ids: GalleryIds) -> Lists:
    """Rows as COCO's ids: plain whole numbers, which the package needs, and one object an id to save memory."""
    of_images = zip(ids.images, answers.i2t, strict=True)
    of_captions = zip(ids.captions, answers.t2i, strict=True)
    return Lists(
        {image: [ids.captions[row] for row in rows.tolist()] for image, rows in of_images},
        {caption: [ids.images[row] for row in rows.tolist()] for caption, rows in of_captions},
    )


def intervals(
    official: Official, lists: Lists, figures: Figures, ids: GalleryIds, draws: int, seed: int
) -> dict[str, dict[str, tuple[float, float]]]:
    """95 % bootstrap intervals of ECCV Caption's figures, over the query images, each with its query captions.

    Raises:
        UserError: if the mean over queries is not the package's figure: it is of another version then.
    """
    image_of = dict(zip(ids.captions, np.repeat(ids.images, 5).tolist(), strict=True))
    values = {
        side: {
            query: list_precision(getattr(lists, side)[query], right) for query, right in official.right[side].items()
        }
        for side in DIRECTIONS
    }
    clusters = {image: place for place, image in enumerate(values["i2t"])}
    counts = np.zeros(len(clusters), np.int64)
    hits = np.zeros((1, len(clusters), 2 * len(MEASURES)))
    for side, start in zip(DIRECTIONS, (0, len(MEASURES)), strict=True):
        for query, found in values[side].items():
            place = clusters[query if side == "i2t" else image_of[query]]
            counts[place] += side == "t2i"
            hits[0, place, start : start + len(MEASURES)] += [getattr(found, name) for name in MEASURES]
    means = 100 * hits[0].sum(axis=0) / np.repeat([len(values[side]) for side in DIRECTIONS], len(MEASURES))
    theirs = [figures[EXTENDED][side][name] for side in DIRECTIONS for name in MEASURES]
    if np.abs(means - theirs).max() > _EXACT:
        raise UserError(
            f"eccv: eccv_caption {official.version} computes other figures than version 0.1.0; install that"
        )
    drawn = iter(bootstrap([hits], counts, draws, seed)[0].T)
    return {side: {name: interval(next(drawn)) for name in MEASURES} for side in DIRECTIONS}


def _again(split: str, count: int = FEWEST_ANSWERS) -> str:
    return _AGAIN.format(split=split, count=count)


def _require_whole(run: Run, answers: KeptAnswers, split: str, official: Official) -> None:
    """Refuse what is no evaluation of COCO's test images with enough answers."""
    if run.split != split:
        raise UserError(f"run {run.folder}: an evaluation of the split {run.split}, not of {split}; {_again(split)}")
    images, owners = len(official.image_ids), answers.image_of_caption
    if not np.array_equal(owners, np.repeat(np.arange(images), 5)) or len(run.captions_per_image) != images:
        raise UserError(
            f"run {run.folder}: {len(answers.i2t):,} images and {len(owners):,} captions; ECCV Caption is about COCO's "
            f"{images:,} test images with five captions each"
        )
    shortest = min(answers.i2t.shape[1], answers.t2i.shape[1])
    if shortest < FEWEST_ANSWERS:
        raise UserError(
            f"run {run.folder}: keeps {shortest} answers a query, expected at least {FEWEST_ANSWERS}; {_again(split)}"
        )
    sides: Sequence[tuple[str, np.ndarray, int, int]] = (
        ("image", answers.i2t, _FOLD_IMAGES, 5 * _FOLD_IMAGES),
        ("caption", answers.t2i, 5 * _FOLD_IMAGES, _FOLD_IMAGES),
    )
    for what, rows, queries, gallery in sides:
        inside = (rows // gallery == np.arange(len(rows))[:, None] // queries).sum(axis=1)
        if inside.min() < max(DEPTHS):
            raise UserError(
                f"run {run.folder}: of the {rows.shape[1]} answers of {what} {inside.argmin()}, {inside.min()} are of "
                f"its fold of COCO 1K, whose recalls need {max(DEPTHS)}; {_again(split, 2 * rows.shape[1])}"
            )


def require_same_recalls(run: Run, figures: Figures) -> None:
    """Refuse answers in which the package finds other recalls than we did.

    Raises:
        UserError: naming the first that differs.
    """
    for protocol, name in _SAME.items():
        if protocol not in run.protocols:
            continue
        for side in DIRECTIONS:
            for depth in DEPTHS:
                ours, theirs = run.protocols[protocol].figures[f"{side}_r{depth}"], figures[name][side][f"r{depth}"]
                if abs(ours - theirs) > _EXACT:
                    raise UserError(
                        f"run {run.folder}: in {ANSWERS} eccv_caption finds R@{depth} of {side} under {protocol} to be "
                        f"{theirs:.4f}, results.json says {ours:.4f}; nothing is written. The two are not of one "
                        f"evaluation, or a device rounded the edge of a tie in two ways; {_again(run.split)}"
                    )
