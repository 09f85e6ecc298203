"""A comparison as a paper needs it: booktabs, the best figure of a column bold and the second underlined."""

from __future__ import annotations

from collections.abc import Sequence

from selfalign.reports.comparison.comparing import Comparison, Difference, Summary
from selfalign.reports.comparison.comparison_table import notes, probability, signed, span
from selfalign.reports.leaderboard.standings import Spread
from selfalign.runs.reading import RSUM
from selfalign.runs.results import RECALLS

_FIGURES = (*RECALLS, RSUM)
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
_HEADER = (
    r" & \multicolumn{3}{c}{image $\to$ text} & \multicolumn{3}{c}{text $\to$ image} & \\",
    r"\cmidrule(lr){2-4}\cmidrule(lr){5-7}",
    r"model & R@1 & R@5 & R@10 & R@1 & R@5 & R@10 & rSum \\",
)


def latex(comparison: Comparison) -> str:
    """Two tables for a paper, which need the package booktabs; how to read them stands above as comments."""
    columns = [[summary.figures[name] for summary in comparison.summaries] for name in _FIGURES]
    marks = [_marks(column) for column in columns]
    rows = [_row(summary, [column[place] for column in marks]) for place, summary in enumerate(comparison.summaries)]
    parts = [f"% {note}" for note in notes(comparison)]
    parts += _table("lccccccc", _HEADER, rows, _caption(comparison))
    if comparison.differences:
        header = (r"difference & rSum & 95\,\% interval & $p$, images & Holm & $p$, seeds \\",)
        rows = [_difference(one) for one in comparison.differences]
        caption = f"Differences from {comparison.baseline.name}: intervals by bootstrap over images and seeds."
        parts += ["", *_table("lccccc", header, rows, _tex(caption))]
    return "\n".join([*parts, ""])


def _caption(comparison: Comparison) -> str:
    """Two lines of a column."""
    counts = sorted({len(summary.setting.runs) for summary in comparison.summaries})
    seeds = "one seed" if counts == [1] else f"mean ± standard deviation over {' or '.join(map(str, counts))} seeds"
    gallery = f"{comparison.images:,} images, {comparison.captions:,} captions"
    if comparison.folds > 1:
        gallery = f"{comparison.folds} folds of {comparison.images // comparison.folds:,} images"
    said = _tex(f"Recall (%) on {comparison.split} ({gallery}); {seeds}.")
    return rf"{said} Best \textbf{{bold}}, second \underline{{underlined}}."


def _marks(column: Sequence[Spread]) -> list[str]:
    """What each figure is set in: equal figures, as they are shown, are marked alike."""
    shown = [f"{spread.mean:.1f}" for spread in column]
    ranked = sorted({float(value) for value in shown}, reverse=True)
    if len(ranked) < 2:
        return [""] * len(column)
    best = sum(float(value) == ranked[0] for value in shown)
    second = ranked[1] if best == 1 else None  # after two first ones there is no second
    return [
        r"\textbf" if float(value) == ranked[0] else r"\underline" if float(value) == second else "" for value in shown
    ]


def _row(summary: Summary, marks: Sequence[str]) -> str:
    cells = [_tex(summary.setting.name)]
    for name, mark in zip(_FIGURES, marks, strict=True):
        spread = summary.figures[name]
        figure = f"{mark}{{{spread.mean:.1f}}}" if mark else f"{spread.mean:.1f}"
        cells.append(figure if spread.deviation is None else rf"{figure} {{\scriptsize$\pm${spread.deviation:.1f}}}")
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
