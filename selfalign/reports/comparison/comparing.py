"""Settings on the same queries: figures with intervals, and each against a baseline."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from selfalign.errors import UserError
from selfalign.reports.comparison.compared_settings import ComparedSetting, differences, group, shared_protocol
from selfalign.reports.comparison.resampling import (
    RelabellingTest,
    bootstrap,
    contributions,
    holm,
    interval,
    relabelling,
    sign_flip_p,
)
from selfalign.reports.leaderboard.standings import Spread
from selfalign.reports.metric_columns import shown_metrics
from selfalign.runs.reading import RSUM, Run
from selfalign.runs.results import DIRECTIONS, RECALLS

FIGURES = (*RECALLS, RSUM)
_FEWEST_DRAWS = 1000
_MOST_DRAWS = 1_000_000


@dataclass(frozen=True)
class Summary:
    """One setting.

    Attributes:
        setting: its runs.
        figures: mean and sample standard deviation over seeds, by name: ``i2t_r1`` … and ``rsum``.
        intervals: 95 % bootstrap intervals of the means; none of a figure that is no mean over queries.
    """

    setting: ComparedSetting
    figures: Mapping[str, Spread]
    intervals: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Difference:
    """One setting against the baseline.

    Attributes:
        setting: the one.
        baseline: the other.
        rsum: mean of the setting less that of the baseline.
        interval: its 95 % bootstrap interval over the same images for both, and over seeds.
        p: of sign flips over images, for the trained models as they are.
        corrected: ``p`` after Holm's correction for all comparisons with the baseline.
        seeds: of relabelling seeds; ``None`` where a setting has one.
        differs: the keys in which the configurations differ.
    """

    setting: ComparedSetting
    baseline: ComparedSetting
    rsum: float
    interval: tuple[float, float]
    p: float
    corrected: float
    seeds: RelabellingTest | None
    differs: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """Everything that is reported.

    Attributes:
        protocol: of all figures.
        others: further protocols that all runs share.
        split, images, captions: the queries.
        folds: galleries that the images are ranked in, one after the other; 1 where all are one gallery.
        draws, seed: of the bootstrap.
        commits: versions of the code that evaluated.
        summaries: settings in the order given.
        baseline: the setting that the others are compared with.
        differences: each of the others against it.
    """

    protocol: str
    others: tuple[str, ...]
    split: str
    images: int
    captions: int
    folds: int
    draws: int
    seed: int
    commits: tuple[str, ...]
    summaries: tuple[Summary, ...]
    baseline: ComparedSetting
    differences: tuple[Difference, ...]


def compare(
    runs: Sequence[Run], *, against: str | None = None, protocol: str | None = None, draws: int = 10_000, seed: int = 0
) -> Comparison:
    """Compare the settings of ``runs``.

    Args:
        runs: complete ones, on the same queries.
        against: name of the baseline, a part of it that only one setting has, or the folder of one of its runs;
            ``None`` for the only setting of the original network, or else the first.
        protocol: ``None`` for the first that all runs share.
        draws: of the bootstrap and of the sign flips.
        seed: of both.

    Raises:
        UserError: if the runs do not compare, or ``against`` names no setting or several.
    """
    if not _FEWEST_DRAWS <= draws <= _MOST_DRAWS:
        raise UserError(f"--draws: expected {_FEWEST_DRAWS:,} to {_MOST_DRAWS:,}, got {draws:,}")
    if seed < 0:
        raise UserError(f"--seed: expected at least 0, got {seed}")
    name = shared_protocol(runs, protocol)
    settings = group(runs, name)
    baseline = _baseline(settings, against)
    captions = runs[0].captions_per_image
    drawn = bootstrap([setting.hits for setting in settings], captions, draws, seed)
    reference = drawn[settings.index(baseline)]
    found = [
        _difference(setting, baseline, interval(own[:, -1] - reference[:, -1]), captions, draws, seed)
        for setting, own in zip(settings, drawn, strict=True)
        if setting is not baseline
    ]
    corrected = holm([one.p for one in found])
    return Comparison(
        protocol=name,
        others=tuple(p for p in runs[0].protocols if p != name and all(p in run.protocols for run in runs)),
        split=runs[0].split,
        images=len(captions),
        captions=int(captions.sum()),
        folds=runs[0].protocols[name].folds,
        draws=draws,
        seed=seed,
        commits=tuple(sorted({str(run.commit) for run in runs})),
        summaries=tuple(
            _summary(*one) for one in zip(settings, drawn, _further(settings, captions, draws, seed), strict=True)
        ),
        baseline=baseline,
        differences=tuple(replace(one, corrected=p) for one, p in zip(found, corrected, strict=True)),
    )


def _summary(setting: ComparedSetting, drawn: np.ndarray, more: Mapping[str, np.ndarray]) -> Summary:
    figures = {name: Spread.of([run[name] for run in setting.figures]) for name in setting.figures[0]}
    intervals = {name: interval(column) for name, column in zip(FIGURES, drawn.T, strict=True)}
    return Summary(setting, figures, intervals | {name: interval(column) for name, column in more.items()})


def _further(
    settings: Sequence[ComparedSetting], captions: np.ndarray, draws: int, seed: int
) -> list[dict[str, np.ndarray]]:
    """Draws of the further figures that tables show; those of the recalls are of the same images and seeds."""
    shown = [metric for metric in shown_metrics() if f"{DIRECTIONS[0]}_{metric.name}" in settings[0].shares]
    if not shown:
        return [{} for _ in settings]
    names = [f"{side}_{metric.name}" for side in DIRECTIONS for metric in shown]
    scales = [metric.scale / 100 for metric in shown] * len(DIRECTIONS)
    columns = [np.stack([setting.shares[name] for name in names], axis=2) for setting in settings]
    drawn = bootstrap(columns, captions, draws, seed)
    return [dict(zip(names, (own[:, :-1] * scales).T, strict=True)) for own in drawn]


def _difference(
    setting: ComparedSetting,
    baseline: ComparedSetting,
    found: tuple[float, float],
    captions: np.ndarray,
    draws: int,
    seed: int,
) -> Difference:
    one, other = ([run[RSUM] for run in side.figures] for side in (setting, baseline))
    p = sign_flip_p(contributions(setting.hits, baseline.hits, captions), draws, seed)
    return Difference(
        setting=setting,
        baseline=baseline,
        rsum=statistics.fmean(one) - statistics.fmean(other),
        interval=found,
        p=p,
        corrected=p,
        seeds=relabelling(one, other, draws, seed),
        differs=tuple(differences(setting, baseline)),
    )


def _baseline(settings: Sequence[ComparedSetting], against: str | None) -> ComparedSetting:
    if against is None:
        plain = [setting for setting in settings if setting.name.split()[1:2] == ["baseline"]]
        return plain[0] if len(plain) == 1 else settings[0]
    exact = [setting for setting in settings if setting.name == against]
    words = against.split()
    holding = [setting for setting in settings if set(words) <= set(setting.name.split())] if words else []
    folder = Path(against).resolve()
    owning = [setting for setting in settings if any(run.folder.resolve() == folder for run in setting.runs)]
    found = exact or owning or holding
    if len(found) == 1:
        return found[0]
    names = ", ".join(setting.name for setting in found or settings)
    problem = "fits several settings" if found else "names no setting"
    raise UserError(f"--against {against!r}: {problem}; expected one of: {names}")
