"""Other models of the field on the same inputs, each with what a comparison has to know, and your runs among them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from selfalign.reports.columns import columns
from selfalign.reports.comparison.comparison_table import markdown_table
from selfalign.reports.published_table import Published
from selfalign.runs.reading import RSUM, Run
from selfalign.runs.results import RECALLS

_TITLE = "Other models on 36 × 2048 bottom-up attention regions"
_HEADER = ("model", "text", "Flickr30K", "rsum", "COCO 1K", "COCO 5K", "epoch chosen on")
_FIRST = "Flickr30K"
_NOTES = (
    "figures of the authors' own papers or repositories; * an ensemble; – not given; ? not known",
    "an epoch chosen on the test split makes its figures too high: compare them with nothing chosen on dev",
    "interactive models compare every sentence with every image by a network of their own: no look-up, other costs",
    "your runs stand here where their test set is the published one; what they were trained on is for you to check",
)


@dataclass(frozen=True)
class FieldRow:
    """One model of the field, or a run.

    Attributes:
        model: its name.
        text: its text encoder.
        models: 1, or the size of the ensemble.
        recalls: six on Flickr30K, in percent; ``None`` where they were not at hand.
        rsums: by test set; ``None`` where not given.
        chosen_on: the split that chose the epoch, ``"dev"`` or ``"test"``; ``None`` where not known.
        extra_input: what it reads besides the regions and the captions.
        interactive: it compares pairs by a network: no two towers.
        independence_known: whether it is known to embed images and captions independently, or known not to.
        yours: a run.
        trained_on: folders of other data than the evaluated ones.
    """

    model: str
    text: str
    models: int
    recalls: tuple[float, ...] | None
    rsums: Mapping[str, float | None]
    chosen_on: str | None
    extra_input: str | None
    interactive: bool
    independence_known: bool
    yours: bool = False
    trained_on: tuple[str, ...] = ()

    @property
    def remarks(self) -> str:
        """What a comparison has to know besides."""
        found = ["yours"] if self.yours else []
        if self.trained_on:
            found.append(f"trained on {', '.join(self.trained_on)}")
        if self.interactive:
            found.append("interactive")
        if not self.independence_known:
            found.append("independence ?")
        if self.extra_input is not None:
            found.append(f"reads {self.extra_input}")
        return ", ".join(found)


def field_rows() -> tuple[FieldRow, ...]:
    """The rows that the package holds, models of two towers first."""
    content = resources.files("selfalign.reports").joinpath("published.json").read_text(encoding="utf-8")
    rows = [
        FieldRow(**row | {"recalls": None if row["recalls"] is None else tuple(row["recalls"])})
        for row in json.loads(content)["field"]
    ]
    return tuple(sorted(rows, key=lambda row: row.interactive))


def rows_of_runs(table: Published, runs: Sequence[Run]) -> tuple[FieldRow, ...]:
    """A row for each run that was evaluated on a published test set, under its protocol."""
    found = []
    for run in runs:
        figures = {name: run.protocols[one.protocol].figures for name, one in table.sets.items() if one.holds(run)}
        if not figures:
            continue
        first = figures.get(_FIRST)
        found.append(
            FieldRow(
                model=run.folder.name,
                text=", ".join(dict.fromkeys(_text_encoder(model) for model in run.models)),
                models=len(run.models),
                recalls=None if first is None else tuple(first[name] for name in RECALLS),
                rsums={name: figures[name][RSUM] if name in figures else None for name in table.sets},
                chosen_on=None if None in run.seeds else "dev",
                extra_input=None,
                interactive=False,
                independence_known=True,
                yours=True,
                trained_on=run.trained_on,
            )
        )
    return tuple(found)


def _text_encoder(model: Mapping[str, object]) -> str:
    backbone = model.get("backbone")
    bert = backbone.get("bert") if isinstance(backbone, Mapping) else None
    if not isinstance(bert, Mapping):
        return "GRU" if isinstance(backbone, Mapping) and backbone.get("name") == "vsrn" else "words"
    return Path(str(bert.get("source") or "a BERT made on the spot")).name


def field_text(table: Published, runs: Sequence[Run]) -> str:
    """For a terminal."""
    lines = columns([_HEADER, *map(_cells, (*rows_of_runs(table, runs), *field_rows()))], left=3)
    return "\n".join([_TITLE, "", *lines, "", *(f"- {note}" for note in _NOTES), ""])


def field_markdown(table: Published, runs: Sequence[Run]) -> str:
    """The same in Markdown."""
    lines = markdown_table([_HEADER, *map(_cells, (*rows_of_runs(table, runs), *field_rows()))])
    return "\n".join([f"{_TITLE}:", "", *lines, "", *(f"- {note}" for note in _NOTES), ""])


def _cells(row: FieldRow) -> tuple[str, ...]:
    recalls = "–"
    if row.recalls is not None:
        shown = [f"{value:.1f}" for value in row.recalls]
        recalls = f"{' '.join(shown[:3])} · {' '.join(shown[3:])}"
    sums = ["–" if value is None else f"{value:.1f}" for value in row.rsums.values()]
    name = row.model + "*" * (row.models > 1) + (f" ({row.remarks})" if row.remarks else "")
    return (name, row.text, recalls, *sums, row.chosen_on or "?")
