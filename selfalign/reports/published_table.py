"""The published table beside a user's own runs, which stand there only where they are runs of exactly that setting."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from selfalign.reports.columns import columns
from selfalign.reports.comparison.compared_settings import model_keys, model_name, require_distinct_seeds
from selfalign.reports.comparison.comparison_table import markdown_table, spread
from selfalign.reports.leaderboard.standings import NOT_GIVEN, Spread
from selfalign.runs.reading import RSUM, Run
from selfalign.runs.results import RECALLS
from selfalign.settings import is_published

Recipe = Callable[[str, str, str], Mapping[str, Any]]
"""The published configuration of a backbone, a data set of ``configs/data`` and a loss of ``configs/loss``."""
NOT_RUN = "not run here"
_HEADER = ("test set", "model", "published", "ours", "other runs of it, and what differs")
_PADDING = "paper"
_MOST_KEYS = 4


@dataclass(frozen=True)
class PublishedSet:
    """A published test set and protocol.

    Attributes:
        recipe: its name in ``configs/data``.
        split, protocol, images, captions: what is evaluated.
        root: usual name of its folder.
        queries: fingerprint of its captions; ``None`` where they were not at hand, and folder and size have to do.
    """

    recipe: str
    split: str
    protocol: str
    images: int
    captions: int
    root: str
    queries: str | None

    def holds(self, run: Run) -> bool:
        """Whether a run was evaluated on it, under its protocol."""
        if self.protocol not in run.protocols:
            return False
        if self.queries is not None:
            return run.queries == self.queries
        if run.trained_on:  # the folder's name, by which the set is known here, is that of the training data
            return False
        counts = (len(run.captions_per_image), int(run.captions_per_image.sum()))
        roots = {Path(str(model.get("data", {}).get("root"))).name for model in run.models}
        return (run.split, *counts) == (self.split, self.images, self.captions) and roots == {self.root}


@dataclass(frozen=True)
class PublishedRow:
    """One published result.

    Attributes:
        set: name of the test set.
        backbone, loss: as in ``configs``.
        models: 1, or the size of the ensemble.
        recalls: six, in percent; ``None`` where only the gain was at hand.
        rsum: as published.
        source: key of the citation.
    """

    set: str
    backbone: str
    loss: str
    models: int
    recalls: tuple[float, ...] | None
    rsum: float | None
    source: str

    @property
    def name(self) -> str:
        """As in papers; * is a two-model ensemble."""
        return self.backbone.upper() + (" + SelfAlign" if self.loss == "selfalign" else "") + "*" * (self.models - 1)


@dataclass(frozen=True)
class Published:
    """The published table."""

    rows: tuple[PublishedRow, ...]
    sets: Mapping[str, PublishedSet]
    sources: Mapping[str, str]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Match:
    """One row beside the runs.

    Attributes:
        row: the published one.
        protocol: of its test set.
        ours: runs of exactly this setting, one a seed.
        others: runs of this model and test set whose settings differ, each with what differs.
    """

    row: PublishedRow
    protocol: str
    ours: tuple[Run, ...]
    others: tuple[tuple[Run, tuple[str, ...]], ...]


def published() -> Published:
    """The table that the package holds."""
    content = resources.files("selfalign.reports").joinpath("published.json").read_text(encoding="utf-8")
    data = json.loads(content)
    rows = [row | {"recalls": None if row["recalls"] is None else tuple(row["recalls"])} for row in data["rows"]]
    return Published(
        tuple(PublishedRow(**row) for row in rows),
        {name: PublishedSet(**one) for name, one in data["sets"].items()},
        data["sources"],
        tuple(data["remarks"]),
    )


def match(table: Published, runs: Sequence[Run], recipe: Recipe) -> list[Match]:
    """Every row with the runs that belong to it.

    Args:
        table: the published one.
        runs: any.
        recipe: what a run must equal; it is asked only for rows that have runs.

    Raises:
        UserError: if two runs are of one row and seed.
    """
    matches = []
    for row in table.rows:
        test_set = table.sets[row.set]
        candidates = [run for run in runs if _is_of(run, row) and test_set.holds(run)]
        differing = [
            (run, tuple(_differences(run, recipe(row.backbone, test_set.recipe, row.loss)))) for run in candidates
        ]
        ours = tuple(run for run, differs in differing if not differs)
        require_distinct_seeds(ours)
        matches.append(Match(row, test_set.protocol, ours, tuple(one for one in differing if one[1])))
    return matches


def _is_of(run: Run, row: PublishedRow) -> bool:
    return len(run.models) == row.models and all(
        model_name(model) == f"{row.backbone} {row.loss}" for model in run.models
    )


def _differences(run: Run, recipe: Mapping[str, Any]) -> list[str]:
    """What keeps a run from being the published one."""
    wanted = _compared(recipe)
    found = [] if run.padding == _PADDING else [f"evaluated with padding={run.padding}, published {_PADDING}"]
    if None in run.seeds:
        return [*found, "a checkpoint of the authors"]
    if len(set(map(str, run.seeds))) < len(run.seeds):
        found.append("an ensemble of one seed")
    for model in run.models:
        keys = _compared(model)
        for key in dict.fromkeys([*wanted, *keys]):
            one, other = (values.get(key, NOT_GIVEN) for values in (keys, wanted))
            if one != other:
                found.append(f"{key}={one}, published {other}")
    return list(dict.fromkeys(found))


def _compared(model: Mapping[str, Any]) -> dict[str, str]:
    # Devices compute what one would, and the queries tell the data set, wherever its files lie.
    keys = {key: value for key, value in model_keys(model).items() if is_published(key)}
    if (bert := keys.get("backbone.bert.source")) is not None:
        keys["backbone.bert.source"] = Path(bert).name  # a local folder of the same name is the same BERT
    return keys


def text(table: Published, matches: Sequence[Match], runs: Sequence[Run]) -> str:
    """For a terminal."""
    rows = columns([_HEADER, *map(_row, matches)], left=len(_HEADER))
    return "\n".join([*rows, "", *(f"- {note}" for note in _notes(table, matches, runs)), ""])


def markdown(table: Published, matches: Sequence[Match], runs: Sequence[Run]) -> str:
    """A table and its sources."""
    rows = markdown_table([_HEADER, *map(_row, matches)])
    return "\n".join([*rows, "", *(f"- {note}" for note in _notes(table, matches, runs)), ""])


def _row(one: Match) -> tuple[str, ...]:
    row = one.row
    figures = "table not at hand"
    if row.recalls is not None:
        figures = f"{_halves([f'{value:.1f}' for value in row.recalls])} · {row.rsum:.1f}"
    return (row.set, row.name, figures, _ours(one), "; ".join(_other(one, run, differs) for run, differs in one.others))


def _ours(one: Match) -> str:
    if not one.ours:
        return NOT_RUN
    figures = {
        name: spread(Spread.of([run.protocols[one.protocol].figures[name] for run in one.ours]))
        for name in (*RECALLS, RSUM)
    }
    seeds = "1 seed" if len(one.ours) == 1 else f"{len(one.ours)} seeds"
    return f"{_halves([figures[name] for name in RECALLS])} · {figures[RSUM]} ({seeds})"


def _halves(recalls: Sequence[str]) -> str:
    return f"{' '.join(recalls[:3])} · {' '.join(recalls[3:])}"


def _other(one: Match, run: Run, differs: Sequence[str]) -> str:
    more = f" and {len(differs) - _MOST_KEYS} more" if len(differs) > _MOST_KEYS else ""
    rsum = run.protocols[one.protocol].figures[RSUM]
    return f"{run.folder}: rsum {rsum:.1f} with {', '.join(differs[:_MOST_KEYS])}{more}"


def _notes(table: Published, matches: Sequence[Match], runs: Sequence[Run]) -> list[str]:
    found = ["i2t R@1/5/10 · t2i R@1/5/10 · rsum; * two-model ensemble; COCO 1K is the mean of five folds"]
    found.append(
        f"ours: the published recipe with padding={_PADDING}, any seed; mean ± sample standard deviation over seeds"
    )
    unsure = [name for name, one in table.sets.items() if one.queries is None]
    found.append(
        f"a run's test set is known by its captions; that of {' and '.join(unsure)} only by folder name, split and "
        "size, and training data by nothing: check that they are the published ones"
    )
    placed = {run.folder for one in matches for run in (*one.ours, *(other for other, _ in one.others))}
    elsewhere = [str(run.folder) for run in runs if run.folder not in placed]
    if elsewhere:
        more = f" and {len(elsewhere) - 1} more" if len(elsewhere) > 1 else ""
        found.append(f"of another test set, loss or ensemble than any row: {elsewhere[0]}{more}")
    return [*found, *table.remarks, *(f"{name}: {source}" for name, source in table.sources.items())]
