"""Run folders as comparisons see them: results.json and ranks.npz, which must agree to the last digit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from selfalign.errors import UserError
from selfalign.files.plain_values import read_json
from selfalign.metrics.rank_metrics import rank_metrics
from selfalign.runs.jobs import read_jobs
from selfalign.runs.ranks_file import NAME, ProtocolRanks, QueryRanks, read_ranks
from selfalign.runs.results import (
    DIRECTIONS,
    RECALLS,
    RESULTS,
    checked_results,
    figures_of,
    shown_split,
    trained_elsewhere,
)
from selfalign.settings import TrainingRun, checked

RSUM = "rsum"
_EVALUATE_AGAIN = "evaluate its checkpoint again: python eval.py checkpoints=RUN"


@dataclass(frozen=True, eq=False)
class Measured:
    """One evaluation under one protocol.

    Attributes:
        figures: by name, ``i2t_r1`` … and ``rsum``, as in ``results.json``; those that are newer than it too.
        hits: (N, 6) int64, of each image the queries with a right answer in the first 1, 5, 10: the image itself (0
            or 1), then its captions (0 to 5). Everything that resampling images needs.
        shares: of each other figure that is a mean over queries (N,) float64, what the queries of an image add to it.
        folds: galleries that the images are ranked in; 1 where all are one gallery.
    """

    figures: Mapping[str, float]
    hits: np.ndarray
    shares: Mapping[str, np.ndarray]
    folds: int


@dataclass(frozen=True, eq=False)
class Run:
    """One evaluation that is complete.

    Attributes:
        folder: of train.py's or eval.py's run.
        models: the configurations that the models were trained with; more than one of an ensemble.
        padding: that of the evaluation.
        split: the evaluated one, and the part of it that counted.
        commit: of the code that evaluated; ``None`` where it was not known.
        queries: fingerprint of captions and their images.
        captions_per_image: (N,) int64.
        protocols: by name, in the order of the evaluation.
        trained_on: folders of training data that are called otherwise than the evaluated one.
    """

    folder: Path
    models: tuple[Mapping[str, Any], ...]
    padding: str
    split: str
    commit: str | None
    queries: str
    captions_per_image: np.ndarray
    protocols: Mapping[str, Measured]
    trained_on: tuple[str, ...] = ()

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
        models = tuple(checked(model, TrainingRun, record=True) for model in record["models"])
        known = {f"{side}_{metric.name}" for side in DIRECTIONS for metric in rank_metrics()} | {RSUM}
        reported = {
            name: {figure: float(value) for figure, value in figures_of(result).items() if figure in known}
            for name, result in record["protocols"].items()
        }
        padding, split, elsewhere = str(record["padding"]), shown_split(record), tuple(trained_elsewhere(record))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"results {folder / 'results.json'}: damaged ({type(error).__name__}: {error})") from error
    if not models:
        raise UserError(f"results {folder / 'results.json'}: damaged (no models)")
    measured = {name: _measure(ranks, found) for name, found in ranks.protocols.items()}
    told = {name: {figure: one.figures[figure] for figure in reported.get(name, {})} for name, one in measured.items()}
    if told != reported:
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
        elsewhere,
    )


def _measure(ranks: QueryRanks, found: ProtocolRanks) -> Measured:
    owners, images = ranks.image_of_caption, len(found.i2t)
    fold = np.zeros(images, np.int32) if found.fold is None else found.fold
    folds = np.unique(fold).tolist()
    figures, shares = {}, {}
    for side, values, of_query in (("i2t", found.i2t, fold), ("t2i", found.t2i, fold[owners])):
        for metric in rank_metrics():
            # The mean over folds, as the evaluation computes it; one fold where there are none.
            of_folds = [metric.figure(values[of_query == one].astype(np.int64)) for one in folds]
            figures[f"{side}_{metric.name}"] = float(np.mean(of_folds))
            if metric.of_queries is not None:
                own = np.asarray(metric.of_queries(values), np.float64)
                shares[f"{side}_{metric.name}"] = (
                    own if side == "i2t" else np.bincount(owners, weights=own, minlength=images)
                )
    total = sum(sum(figures[recall] for recall in RECALLS[start : start + 3]) for start in (0, 3))
    hits = np.stack([shares.pop(recall) for recall in RECALLS], axis=1).astype(np.int64)
    return Measured(figures | {RSUM: total}, hits, shares, len(folds))
