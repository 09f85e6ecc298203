"""A comparison as a paper needs it: booktabs, the best figure of a column bold and the second underlined."""

from __future__ import annotations

from collections.abc import Sequence

from selfalign.reports.comparison.comparing import Comparison, Difference, Summary
from selfalign.reports.comparison.comparison_table import notes, probability, signed, span
from selfalign.reports.leaderboard.standings import Spread
from selfalign.reports.metric_columns import shown_metrics
from selfalign.runs.reading import RSUM
from selfalign.runs.results import DIRECTIONS

_TEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
    "→": r"$\to$",
    "–": "--",
    "<": "$<$",
    ">": "$>$",
}


def latex(comparison: Comparison) -> str:
    """Two tables for a paper, which need the package booktabs; how to read them stands above as comments."""
    figures = _figures()
    marks = [_marks([one.figures[name] for one in comparison.summaries], *how) for name, how in figures.items()]
    rows = [_row(summary, [column[place] for column in marks]) for place, summary in enumerate(comparison.summaries)]
    parts = [f"% {note}" for note in notes(comparison)]
    parts += _table("l" + "c" * len(figures), _header(), rows, _caption(comparison))
    if comparison.differences:
        header = (r"difference & rSum & 95\,\% interval & $p$, images & Holm & $p$, seeds \\",)
        rows = [_difference(one) for one in comparison.differences]
        caption = f"Differences from {comparison.baseline.name}: intervals by bootstrap over images and seeds."
        parts += ["", *_table("lccccc", header, rows, _tex(caption))]
    return "\n".join([*parts, ""])


def _figures() -> dict[str, tuple[int, bool]]:
    """Names of the columns; digits after the point, and whether more is better."""
    every = {
        f"{side}_{metric.name}": (metric.digits, metric.higher) for side in DIRECTIONS for metric in shown_metrics()
    }
    return every | {RSUM: (1, True)}


def _header() -> tuple[str, str, str]:
    labels = [_tex(metric.label) for metric in shown_metrics()]
    count = len(labels)
    titles = (rf"\multicolumn{{{count}}}{{c}}{{{title}}}" for title in (r"image $\to$ text", r"text $\to$ image"))
    return (
        rf" & {' & '.join(titles)} & \\",
        rf"\cmidrule(lr){{2-{count + 1}}}\cmidrule(lr){{{count + 2}-{2 * count + 1}}}",
        rf"model & {' & '.join(labels * 2)} & rSum \\",
    )


def _caption(comparison: Comparison) -> str:
    """Two lines of a column."""
    counts = sorted({len(summary.setting.runs) for summary in comparison.summaries})
    seeds = "one seed" if counts == [1] else f"mean ± standard deviation over {' or '.join(map(str, counts))} seeds"
    gallery = f"{comparison.images:,} images, {comparison.captions:,} captions"
    if comparison.folds > 1:
        gallery = f"{comparison.folds} folds of {comparison.images // comparison.folds:,} images"
    said = _tex(f"Recall (%) on {comparison.split} ({gallery}); {seeds}.")
    return rf"{said} Best \textbf{{bold}}, second \underline{{underlined}}."


def _marks(column: Sequence[Spread], digits: int, higher: bool) -> list[str]:
    """What each figure is set in: equal figures, as they are shown, are marked alike."""
    shown = [f"{spread.mean:.{digits}f}" for spread in column]
    ranked = sorted({float(value) for value in shown}, reverse=higher)
    if len(ranked) < 2:
        return [""] * len(column)
    best = sum(float(value) == ranked[0] for value in shown)
    second = ranked[1] if best == 1 else None  # after two first ones there is no second
    return [
        r"\textbf" if float(value) == ranked[0] else r"\underline" if float(value) == second else "" for value in shown
    ]


def _row(summary: Summary, marks: Sequence[str]) -> str:
    cells = [_tex(summary.setting.name)]
    for (name, (digits, _)), mark in zip(_figures().items(), marks, strict=True):
        spread = summary.figures[name]
        figure = f"{mark}{{{spread.mean:.{digits}f}}}" if mark else f"{spread.mean:.{digits}f}"
        deviation = spread.deviation
        cells.append(figure if deviation is None else rf"{figure} {{\scriptsize$\pm${deviation:.{digits}f}}}")
    return " & ".join(cells) + r" \\"


def _difference(one: Difference) -> str:
    seeds = "–" if one.seeds is None else probability("", one.seeds.p)
    cells = (
        f"{one.setting.name} − {one.baseline.name}",
        signed(one.rsum),
        span(one.interval),
        probability("", one.p),
        probability("", one.corrected),
        seeds,
    )
    return " & ".join(map(_tex, cells)) + r" \\"


def _table(columns: str, header: Sequence[str], rows: Sequence[str], caption: str) -> list[str]:
    return [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{caption}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        *header,
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def _tex(cell: str) -> str:
    return "".join(_TEX.get(sign, sign) for sign in cell)
