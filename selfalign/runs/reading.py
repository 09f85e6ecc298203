"""Run folders as comparisons see them: results.json and ranks.npz, which must agree to the last digit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from selfalign.errors import UserError
from selfalign.files.plain_values import read_json
from selfalign.runs.jobs import read_jobs
from selfalign.runs.ranks_file import NAME, ProtocolRanks, QueryRanks, read_ranks
from selfalign.runs.results import RECALLS, RESULTS, checked_results

RSUM = "rsum"
_DEPTHS = (1, 5, 10)
_EVALUATE_AGAIN = "evaluate its checkpoint again: python eval.py checkpoints=RUN"


@dataclass(frozen=True, eq=False)
class Measured:
    """One evaluation under one protocol.

    Attributes:
        figures: the six recalls in percent and ``rsum``, as in ``results.json``.
        hits: (N, 6) int64, of each image the queries with a right answer in the first 1, 5, 10: the image itself (0
            or 1), then its captions (0 to 5). Everything that resampling images needs.
        folds: galleries that the images are ranked in; 1 where all are one gallery.
    """

    figures: Mapping[str, float]
    hits: np.ndarray
    folds: int


@dataclass(frozen=True, eq=False)
class Run:
    """One evaluation that is complete.

    Attributes:
        folder: of train.py's or eval.py's run.
        models: the configurations that the models were trained with; more than one of an ensemble.
        padding: that of the evaluation.
        split: the evaluated one.
        commit: of the code that evaluated; ``None`` where it was not known.
        queries: fingerprint of captions and their images.
        captions_per_image: (N,) int64.
        protocols: by name, in the order of the evaluation.
    """

    folder: Path
    models: tuple[Mapping[str, Any], ...]
    padding: str
    split: str
    commit: str | None
    queries: str
    captions_per_image: np.ndarray
    protocols: Mapping[str, Measured]

    @property
    def seeds(self) -> tuple[Any, ...]:
        """One a model; ``None`` where it is not known, as of the authors' checkpoints."""
        return tuple(model.get("seed") for model in self.models)


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """The runs in ``folders``, each one run or a folder of runs (a sweep: every job of it); none is left out.

    Raises:
        UserError: if a folder holds neither, or a run is unfinished or damaged.
    """
    found = dict.fromkeys(path.resolve() for folder in folders for path in _run_folders(folder))
    shown = [path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path for path in found]
    return [read_run(folder) for folder in shown]


def _run_folders(folder: Path) -> list[Path]:
    try:
        there = folder.is_dir()
    except (OSError, ValueError):  # no name that a folder can have
        there = False
    if not there:
        raise UserError(f"run {str(folder)[:160]}: no such folder")
    if (folder / RESULTS).exists():
        return [folder]
    jobs = read_jobs(folder)
    if not jobs:
        if (folder / "config.yaml").exists():
            raise UserError(f"run {folder}: unfinished, it has no results.json")
        raise UserError(f"run {folder}: no results.json, and no folders of jobs; expected a run or a sweep")
    missing = [job for job in jobs if not (job.folder / RESULTS).exists()]
    if missing:
        words = f"{missing[0].folder.name} ({missing[0].failure or missing[0].state})"
        raise UserError(
            f"sweep {folder}: {len(missing)} of {len(jobs)} jobs are not done, as {words}; finish it, or name the "
            "runs to compare"
        )
    return [job.folder for job in jobs]


def read_run(folder: Path) -> Run:
    """Read one evaluation.

    Raises:
        UserError: if a file is missing or damaged, or the two disagree.
    """
    found = read_json(folder / RESULTS, "results")
    if (isinstance(found, dict) and "models" not in found) or not (folder / NAME).exists():
        raise UserError(f"run {folder}: keeps no ranks, it is of an earlier version; {_EVALUATE_AGAIN}")
    record = checked_results(found, folder / RESULTS)
    ranks = read_ranks(folder / NAME)
    try:
        models = tuple(
            {**model, "backbone": {**model["backbone"]}, "loss": {**model["loss"]}} for model in record["models"]
        )
        reported = {name: _figures(result) for name, result in record["protocols"].items()}
        padding, split = str(record["padding"]), str(record["split"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"results {folder / 'results.json'}: damaged ({type(error).__name__}: {error})") from error
    if not models:
        raise UserError(f"results {folder / 'results.json'}: damaged (no models)")
    measured = {name: _measure(ranks, found) for name, found in ranks.protocols.items()}
    if {name: one.figures for name, one in measured.items()} != reported:
        raise UserError(
            f"run {folder}: {NAME} and results.json do not belong together: its ranks give other figures; "
            f"{_EVALUATE_AGAIN}"
        )
    return Run(
        folder,
        models,
        padding,
        split,
        None if record.get("git_commit") is None else str(record["git_commit"]),
        ranks.queries,
        np.bincount(ranks.image_of_caption),
        measured,
    )


def _figures(result: Mapping[str, Any]) -> dict[str, float]:
    return {recall: float(result[recall[:3]][recall[4:]]) for recall in RECALLS} | {RSUM: float(result[RSUM])}


def _measure(ranks: QueryRanks, found: ProtocolRanks) -> Measured:
    owners, images = ranks.image_of_caption, len(found.i2t)
    of_images = np.stack([found.i2t <= depth for depth in _DEPTHS], axis=1)  # (N, 3)
    of_captions = np.stack([found.t2i <= depth for depth in _DEPTHS], axis=1)  # (M, 3)
    owned = [np.bincount(owners, weights=column, minlength=images) for column in of_captions.T]
    fold = np.zeros(images, np.int32) if found.fold is None else found.fold
    folds = np.unique(fold).tolist()
    # The mean over folds of the share of each, as the evaluation computes it; one fold where there are none.
    recalls = [float(np.mean([100.0 * float(np.mean(column[fold == one])) for one in folds])) for column in of_images.T]
    recalls += [
        float(np.mean([100.0 * float(np.mean(column[fold[owners] == one])) for one in folds]))
        for column in of_captions.T
    ]
    total = sum(sum(recalls[start : start + 3]) for start in (0, 3))
    hits = np.concatenate([of_images, np.stack(owned, axis=1)], axis=1).astype(np.int64)
    return Measured(dict(zip(RECALLS, recalls, strict=True)) | {RSUM: total}, hits, len(folds))
