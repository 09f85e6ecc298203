"""Everything that a page shows, as plain values: read once, checked, and bounded in size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from selfalign.errors import UserError
from selfalign.files.plain_values import read_json, without_places
from selfalign.reports.comparison.compared_settings import ComparedSetting
from selfalign.reports.comparison.comparing import Comparison, compare
from selfalign.reports.curves import panels, read_series
from selfalign.reports.html.album import Album, Picture
from selfalign.reports.html.charts import Chart, bar_chart, line_chart
from selfalign.reports.html.hardest import hardest
from selfalign.reports.html.queries import Queries, find_queries
from selfalign.reports.html.strata import DEPTHS, Stratum, strata
from selfalign.reports.html.tables import Table, sign, table
from selfalign.reports.leaderboard.standings import flat
from selfalign.runs.answers_file import ANSWERS, KeptAnswers, read_answers
from selfalign.runs.ranks_file import NAME, ProtocolRanks, read_ranks
from selfalign.runs.reading import Run
from selfalign.runs.results import RESULTS
from selfalign.runs.typed import command_of

_CAPTIONS, _IMAGES, _ANSWERS = 10, 6, 4
_SIDE, _SMALL = 320, 160
_SHEETS = {
    "pictures/words.png": "The region that each word chose, at the last validation",
    "pictures/retrieval.png": "What was found for a few fixed queries, at the last validation",
    "grounding.png": "Phrases and the regions that they chose",
}


@dataclass(frozen=True)
class Shown:
    """An image or a caption of the gallery; ``picture`` is ``None`` of a caption, and where there is no photograph."""

    text: str
    picture: Picture | None
    right: bool = False


@dataclass(frozen=True)
class HardQuery:
    """A query, its right answers, where they came, and what came first instead where the answers were kept."""

    query: Shown
    right: tuple[Shown, ...]
    ranks: tuple[tuple[str, str], ...]
    first: tuple[Shown, ...]


@dataclass(frozen=True)
class Strata:
    """Recalls by one thing: a chart of R@1, and a table of each setting."""

    chart: Chart
    what: str
    rows: tuple[tuple[str, tuple[Stratum, ...]], ...]


@dataclass(frozen=True)
class Group:
    """Runs on the same queries."""

    title: str
    tables: tuple[Table, ...]
    alignment: tuple[tuple[str, Mapping[str, float]], ...]
    strata: tuple[Strata, ...]
    captions: tuple[HardQuery, ...]
    images: tuple[HardQuery, ...]
    gallery: tuple[int, int]
    missing: str


@dataclass(frozen=True)
class RunPart:
    """One run: how it was made, how it went, and what it drew."""

    name: str
    setting: str
    command: str | None
    charts: tuple[Chart, ...]
    sheets: tuple[tuple[str, Picture], ...]
    settings: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Report:
    """The page."""

    title: str
    groups: tuple[Group, ...]
    runs: tuple[RunPart, ...]
    left_out: int


def report(
    runs: Sequence[Run], *, data: Path | None = None, images: Path | None = None, against: str | None = None
) -> Report:
    """Everything about some runs; those on the same queries stand in one table.

    Args:
        runs: complete ones.
        data: folder of the data that were evaluated; ``None`` for where they were.
        images: folder of the photographs; ``None`` for where they were.
        against: the baseline, as ``selfalign compare`` takes it.

    Raises:
        UserError: if runs on the same queries do not compare, or a folder is named that is not the right one.
    """
    album = Album()
    named: dict[Path, str] = {}
    groups = []
    by_queries: dict[str, list[Run]] = {}
    for run in runs:
        by_queries.setdefault(f"{run.queries} {run.split}", []).append(run)
    for members in by_queries.values():
        comparison = compare(members, against=against)
        named |= {run.folder: one.setting.name for one in comparison.summaries for run in one.setting.runs}
        groups.append(_group(members, comparison, album, data, images, against))
    parts = tuple(_run_part(run, named[run.folder], album) for run in runs)
    names = list(dict.fromkeys(named.values()))
    title = names[0] if len(names) == 1 else f"{len(names)} settings, {len(runs)} runs"
    return Report(title, tuple(groups), parts, album.left_out)


def _group(
    runs: list[Run],
    comparison: Comparison,
    album: Album,
    data: Path | None,
    images: Path | None,
    against: str | None,
) -> Group:
    records = [read_json(run.folder / RESULTS, "results") for run in runs]
    ranks = {run.folder: read_ranks(run.folder / NAME) for run in runs}
    settings = [one.setting for one in comparison.summaries]
    of_runs = {folder: found.protocols[comparison.protocol] for folder, found in ranks.items()}
    missing = ""
    try:
        queries = find_queries(records[0], ranks[runs[0].folder], data, images)
    except UserError as error:
        if data is not None or images is not None:
            raise
        queries, missing = None, str(error)
    others = [compare(runs, against=against, protocol=name) for name in comparison.others]
    source = Path(str(records[0].get("data_root", ""))).name
    if queries is not None and queries.photographs is None:
        missing = "photographs: nothing tells where they are"
    return Group(
        f"{source}, split {comparison.split}: {comparison.images:,} images, {comparison.captions:,} captions",
        tuple(map(table, [comparison, *others])),
        tuple(_alignment(settings, dict(zip((run.folder for run in runs), records, strict=True)))),
        () if queries is None else tuple(_strata(queries, settings, of_runs)),
        () if queries is None else tuple(_hard_captions(queries, settings, of_runs, album)),
        () if queries is None else tuple(_hard_images(queries, settings, of_runs, album)),
        _gallery(records[0], comparison),
        missing,
    )


def _gallery(record: Mapping[str, Any], comparison: Comparison) -> tuple[int, int]:
    """Images and captions that ranks are among: those of one fold where there are folds."""
    result = record["protocols"][comparison.protocol]
    return result["images"] // comparison.folds, result["captions"] // comparison.folds


def _alignment(
    settings: Sequence[ComparedSetting], records: Mapping[Path, Any]
) -> list[tuple[str, Mapping[str, float]]]:
    """Of each setting with figures of words and regions their means over seeds."""
    found: list[tuple[str, Mapping[str, float]]] = []
    for setting in settings:
        own = [records[run.folder].get("alignment") for run in setting.runs]
        if all(isinstance(one, dict) for one in own):
            names = [name for name, value in own[0].items() if all(_is_number(one.get(name)) for one in own)]
            found.append((setting.name, {name: float(np.mean([one[name] for one in own])) for name in names}))
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _strata(queries: Queries, settings: Sequence[ComparedSetting], ranks: Mapping[Path, ProtocolRanks]) -> list[Strata]:
    found = []
    owners, every = queries.image_of_caption, np.arange(len(queries.rows))
    sorts = [("t2i", "text → image, by words of the caption", "words of the caption", queries.lengths, owners)]
    regions = queries.regions
    if regions is not None:
        sorts += [
            ("i2t", "image → text, by regions of the image", "regions of the image", regions, every),
            ("t2i", "text → image, by regions of the image", "regions of the image", regions[owners], owners),
        ]
    for side, title, what, values, image_of_query in sorts:
        rows = []
        for setting in settings:
            own = [getattr(ranks[run.folder], side) for run in setting.runs]
            rows.append((setting.name, tuple(strata(own, values, image_of_query))))
        if rows[0][1]:
            named = {sign(place) if len(rows) > 1 else name: many for place, (name, many) in enumerate(rows)}
            series = {name: [(one.recalls[0], *one.intervals[0]) for one in many] for name, many in named.items()}
            chart = bar_chart(f"R@{DEPTHS[0]}, {title}", what, [one.label for one in rows[0][1]], series)
            found.append(Strata(chart, what, tuple(rows)))
    return found


def _kept(settings: Sequence[ComparedSetting]) -> KeptAnswers | None:
    """The answers that the first run kept, where there is one."""
    path = settings[0].runs[0].folder / ANSWERS
    return read_answers(path) if len(settings) == 1 and len(settings[0].runs) == 1 and path.is_file() else None


def _ranks_of(
    query: int, side: str, settings: Sequence[ComparedSetting], ranks: Mapping[Path, ProtocolRanks]
) -> tuple[tuple[str, str], ...]:
    found = []
    for place, setting in enumerate(settings):
        own = [int(getattr(ranks[run.folder], side)[query]) for run in setting.runs]
        found.append((sign(place) if len(settings) > 1 else "", ", ".join(f"{rank:,}" for rank in own)))
    return tuple(found)


def _hard_captions(
    queries: Queries, settings: Sequence[ComparedSetting], ranks: Mapping[Path, ProtocolRanks], album: Album
) -> list[HardQuery]:
    kept, owners = _kept(settings), queries.image_of_caption
    found = []
    for caption in hardest([one.t2i for one in ranks.values()], _CAPTIONS, owners):
        owner = int(queries.rows[owners[caption]])
        first = [] if kept is None else queries.gallery[kept.t2i[caption][:_ANSWERS]].tolist()
        found.append(
            HardQuery(
                Shown(queries.texts[caption], None),
                (_image(queries, owner, album, _SIDE),),
                _ranks_of(caption, "t2i", settings, ranks),
                tuple(
                    _image(queries, row, album, _SMALL, right=row == owner) for row in queries.gallery[first].tolist()
                ),
            )
        )
    return found


def _hard_images(
    queries: Queries, settings: Sequence[ComparedSetting], ranks: Mapping[Path, ProtocolRanks], album: Album
) -> list[HardQuery]:
    kept, owners = _kept(settings), queries.image_of_caption
    found = []
    for image in hardest([one.i2t for one in ranks.values()], _IMAGES, np.arange(len(queries.rows))):
        row = int(queries.rows[image])
        place = int(np.searchsorted(queries.gallery, row))
        first = [] if kept is None else kept.i2t[place][:_ANSWERS].tolist()
        found.append(
            HardQuery(
                _image(queries, row, album, _SIDE),
                tuple(Shown(text, None, right=True) for text in queries.captions_of(image)),
                _ranks_of(image, "i2t", settings, ranks),
                tuple(Shown(queries.texts[one], None, right=int(owners[one]) == image) for one in first),
            )
        )
    return found


def _image(queries: Queries, row: int, album: Album, side: int, *, right: bool = False) -> Shown:
    if queries.photographs is None:
        return Shown(f"image {row}", None, right)
    return Shown(queries.photographs.name(row), album.photograph(queries.photographs.read(row), side), right)


def _run_part(run: Run, setting: str, album: Album) -> RunPart:
    record = read_json(run.folder / RESULTS, "results")
    metrics = run.folder / "metrics.csv"
    charts = [line_chart(panel) for panel in panels(read_series(metrics))] if metrics.is_file() else []
    sheets = [(title, album.sheet(run.folder / name)) for name, title in _SHEETS.items()]
    versions = record.get("versions")
    told = {} if not isinstance(versions, dict) else versions
    models = [without_places(flat(dict(model))) for model in run.models]
    return RunPart(
        run.folder.name,
        setting,
        command_of(run.folder),
        tuple(charts),
        tuple((title, sheet) for title, sheet in sheets if sheet is not None),
        tuple(
            (key if len(models) == 1 else f"model {number}: {key}", str(value))
            for number, model in enumerate(models, 1)
            for key, value in model.items()
        ),
        (("commit of the code", str(run.commit)), *((str(name), str(value)) for name, value in told.items())),
    )
