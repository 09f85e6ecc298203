"""The jobs of a sweep → one row a setting, mean and standard deviation over seeds, ranked by validation."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selfalign.runs.jobs import SweepJob
from selfalign.runs.results import figures_of

SELECTION = "selection"
NOT_GIVEN = "–"
_GALLERY = ("root", "val_split", "test_split", "validation_captions")


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n − 1) of ``count`` values; no deviation of one."""

    mean: float
    deviation: float | None
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))

    def __str__(self) -> str:
        return f"{self.mean:.1f} ± {NOT_GIVEN if self.deviation is None else f'{self.deviation:.1f}'}"


@dataclass(frozen=True)
class Standing:
    """One row: jobs that differ in nothing but their seed.

    Attributes:
        values: what the row sets, by swept key.
        jobs: one a seed.
        figures: by name, over the seeds that are done; ``selection`` is of the validation split, all others of the
            test split.
        gallery: what the figures were measured on; figures of other galleries do not compare.
    """

    values: dict[str, str]
    jobs: tuple[SweepJob, ...]
    figures: dict[str, Spread]
    gallery: str

    @property
    def selection(self) -> Spread | None:
        """The validation figure; ``None`` if no seed is done."""
        return self.figures.get(SELECTION)

    @property
    def done(self) -> int:
        """Seeds that are done."""
        return sum(job.state == "done" for job in self.jobs)

    @property
    def trouble(self) -> str:
        """What keeps it from being complete, in a few words; empty if nothing does."""
        counts = Counter(job.state for job in self.jobs)
        words = [f"{counts[state]} {state}" for state in ("failed", "unfinished", "not run") if counts[state]]
        reasons = dict.fromkeys(job.failure for job in self.jobs if job.state == "failed")
        return ", ".join(words) + "".join(f": {reason}" for reason in list(reasons)[:1])


@dataclass(frozen=True)
class Leaderboard:
    """Rows, the best first, those without any figure last.

    Attributes:
        keys: what was swept, the seed apart.
        rows: one a setting.
        best: places in ``rows`` of the best one of every gallery.
    """

    keys: tuple[str, ...]
    rows: tuple[Standing, ...]
    best: frozenset[int]

    @property
    def jobs(self) -> list[SweepJob]:
        """Jobs of all rows."""
        return [job for setting in self.rows for job in setting.jobs]


def rank(jobs: Sequence[SweepJob]) -> Leaderboard:
    """Group jobs by their settings, and rank by the mean validation figure, never by the test split.

    Best is, of each gallery, the highest mean among the settings with the most seeds done: one lucky seed does not beat
    the mean of three.
    """
    groups = [_one_a_seed(group) for group in _by_setting(jobs)]
    rows = [_standing(values, group) for values, group in zip(_values(_swept(jobs), groups), groups, strict=True)]
    rows.sort(key=lambda row: (row.gallery if row.selection else "~", -row.selection.mean if row.selection else 0.0))
    standing = {place: (row.gallery, row.done, row.selection.mean) for place, row in enumerate(rows) if row.selection}
    best = {
        gallery: max(other for other in standing.values() if other[0] == gallery) for gallery, _, _ in standing.values()
    }
    keys = tuple(rows[0].values) if rows else ()
    return Leaderboard(keys, tuple(rows), frozenset(place for place, own in standing.items() if own == best[own[0]]))


def _swept(jobs: Sequence[SweepJob]) -> tuple[str, ...]:
    """Keys whose values differ between jobs, in the order of the command line."""
    keys = dict.fromkeys(key for job in jobs for key in job.overrides if key != "seed")
    return tuple(key for key in keys if len({job.overrides.get(key) for job in jobs}) > 1)


def _typed(job: SweepJob) -> str:
    return json.dumps({key: value for key, value in job.overrides.items() if key != "seed"}, sort_keys=True)


def _configuration(job: SweepJob) -> str | None:
    if job.config is None:
        return None
    return json.dumps({key: value for key, value in job.config.items() if key != "seed"}, sort_keys=True)


def _by_setting(jobs: Sequence[SweepJob]) -> list[list[SweepJob]]:
    """Jobs that share their settings as typed and, where it is known, the whole configuration behind them."""
    known = {_typed(job): _configuration(job) for job in reversed(jobs) if job.config is not None}
    groups: dict[tuple[str, str | None], list[SweepJob]] = {}
    for job in jobs:
        typed = _typed(job)
        groups.setdefault((typed, _configuration(job) or known.get(typed)), []).append(job)
    return list(groups.values())


def _one_a_seed(jobs: Sequence[SweepJob]) -> tuple[SweepJob, ...]:
    """The default seed may also have been typed; it counts once."""
    seeds: dict[str, SweepJob] = {}
    for job in jobs:
        if str(job.seed) not in seeds or job.state == "done":
            seeds[str(job.seed)] = job
    return tuple(seeds.values())


def _values(keys: Sequence[str], rows: Sequence[Sequence[SweepJob]]) -> list[dict[str, str]]:
    """What tells rows apart: the swept keys, and where defaults were edited in between, what they changed."""
    values = [{key: row[0].overrides.get(key, NOT_GIVEN) for key in keys} for row in rows]
    configs = [next((flat(job.config) for job in row if job.config is not None), {}) for row in rows]
    for name in _edited([row[0].overrides for row in rows], configs):
        for value, config in zip(values, configs, strict=True):
            value[name] = str(config.get(name, NOT_GIVEN))
    return values


def _edited(overrides: Sequence[dict[str, str]], configs: Sequence[dict[str, Any]]) -> list[str]:
    """Settings that differ although nothing that was typed says so; without them rows would seem to compare.

    Args:
        overrides: of rows, as typed.
        configs: behind them, flat; empty where unknown.
    """
    typed = {key for row in overrides for key in row} | {"seed"}
    seen: dict[tuple[str, str], set[str]] = {}
    for row, config in zip(overrides, configs, strict=True):
        # A file of configs/ that was chosen, as in loss=concept, may set anything: rows compare within one choice.
        chosen = json.dumps({key: row[key] for key in sorted(row) if "." not in key and key not in config})
        for name in config:
            if not any(name == key or name.startswith(f"{key}.") for key in typed if "." in key or key in config):
                seen.setdefault((chosen, name), set()).add(json.dumps(config[name]))
    return list(dict.fromkeys(name for (_, name), found in seen.items() if len(found) > 1))


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted key."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def _standing(values: dict[str, str], jobs: tuple[SweepJob, ...]) -> Standing:
    records = [job.results for job in jobs if job.results is not None]
    rows = [_figures(record) for record in records]
    names = dict.fromkeys(name for row in rows for name in row)
    figures = {name: Spread.of([row[name] for row in rows if name in row]) for name in names}
    data: dict[str, Any] = next((job.config["data"] for job in jobs if job.config is not None), {})
    return Standing(values, jobs, figures, json.dumps([data.get(name) for name in _GALLERY]))


def _figures(record: dict[str, Any]) -> dict[str, float]:
    """The validation figure and those of the test split; of further protocols under their names."""
    figures = {SELECTION: record["selection"]}
    for name, result in record["protocols"].items():
        prefix = "" if name == record["protocol"] else f"{name}."
        figures |= {f"{prefix}{figure}": value for figure, value in figures_of(result).items()}
    if "alignment" in record:
        figures["alignment_accuracy"] = record["alignment"]["accuracy"]
    return figures
