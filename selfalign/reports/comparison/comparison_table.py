"""A comparison in words and tables: for a terminal, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from selfalign.reports.columns import columns
from selfalign.reports.comparison.comparing import Comparison, Difference, Summary
from selfalign.reports.leaderboard.standings import Spread
from selfalign.reports.metric_columns import column_labels, metric_columns
from selfalign.runs.reading import RSUM

_DIFFERENCES = ("difference", "rsum", "95 % interval", "p over images", "Holm", "p over seeds")
_MOST_KEYS = 8


def text(comparison: Comparison) -> str:
    """For a terminal."""
    lines = [_title(comparison), "", *columns([_header(), *map(_row, comparison.summaries)]), ""]
    if comparison.differences:
        lines += [f"against {comparison.baseline.name}:", ""]
        for one in comparison.differences:
            lines += [sentence(comparison, one), *(f"    {remark}" for remark in _remarks(one)), ""]
    return "\n".join([*lines, *(f"- {note}" for note in notes(comparison)), ""])


def markdown(comparison: Comparison) -> str:
    """Two tables and how to read them."""
    lines = [_title(comparison), "", *markdown_table([_header(), *map(_row, comparison.summaries)]), ""]
    if comparison.differences:
        lines += [*markdown_table([_DIFFERENCES, *map(_difference_row, comparison.differences)]), ""]
        for one in comparison.differences:
            lines += [f"- {_escaped(sentence(comparison, one))}", *(f"  - {_escaped(line)}" for line in _remarks(one))]
        lines.append("")
    return "\n".join([*lines, *(f"- {_escaped(note)}" for note in notes(comparison)), ""])


def sentence(comparison: Comparison, one: Difference) -> str:
    """What a reader needs to judge one difference."""
    counts = (len(one.setting.runs), len(one.baseline.runs))
    seeds = f"{one.setting.seeds} each" if len(set(counts)) == 1 else f"{counts[0]} and {counts[1]} seeds"
    p = f"{probability('p', one.p)} over images"
    if len(comparison.differences) > 1:
        p += f" ({probability('p', one.corrected)} by Holm for {len(comparison.differences)} comparisons)"
    return (
        f"{one.setting.name} − {one.baseline.name}: {signed(one.rsum)} rsum, 95 % interval {span(one.interval)} "
        f"over {_covered(one)}, {p}, {seeds}, {comparison.images:,} images"
    )


def _covered(one: Difference) -> str:
    """What an interval is over."""
    several = [side.name for side in (one.setting, one.baseline) if len(side.runs) > 1]
    return {0: "images only", 1: f"images and the seeds of {''.join(several)}"}.get(len(several), "images and seeds")


def notes(comparison: Comparison) -> list[str]:
    """What the figures mean and what they leave out."""
    drawn = f"95 % intervals: {comparison.draws:,} bootstrap draws (seed {comparison.seed}) of images, each with its "
    drawn += "captions, the same images for all settings"
    counts = {len(summary.setting.runs) for summary in comparison.summaries}
    if counts == {1}:
        drawn += "; each setting has 1 seed, so they say nothing about what another seed would give"
    else:
        drawn += ", and of seeds (K − 1 of K, which keeps the spread of their mean right)"
        drawn += "; settings with 1 seed: of images only" if 1 in counts else ""
        if min(counts - {1}) < 5:
            drawn += "; with fewer than five seeds they are too short where seeds differ by more than images make them"
    fold = comparison.images // comparison.folds
    where = f"{comparison.folds} folds of {fold:,} images" if comparison.folds > 1 else "whole gallery"
    found = ["mean ± sample standard deviation over seeds", drawn]
    if comparison.differences:
        found.append(
            f"two-sided tests: p over images by {comparison.draws:,} sign flips of each image's share of the "
            "difference, for the trained models as they are, so it may be small where other seeds would differ the "
            "other way; p over seeds by exchanging the labels of runs"
        )
    if len(comparison.differences) > 1:
        found.append(
            f"Holm's correction is for the {len(comparison.differences)} comparisons made here; intervals and p over "
            "seeds are not corrected"
        )
    found.append(
        f"ranks are those in the {where}, which stays fixed while queries are drawn: intervals and p are for other "
        "queries of this kind, not for galleries of another size"
    )
    if len(comparison.commits) > 1:
        found.append(
            f"the results are of {len(comparison.commits)} versions of the code: {', '.join(comparison.commits)}"
        )
    found += [f"also evaluated by all: --protocol {name}" for name in comparison.others]
    return found


def _title(comparison: Comparison) -> str:
    runs = sum(len(summary.setting.runs) for summary in comparison.summaries)
    return (
        f"{_counted(len(comparison.summaries), 'setting')}, {_counted(runs, 'run')}, split {comparison.split}, "
        f"protocol {comparison.protocol}: {comparison.images:,} images, {comparison.captions:,} captions"
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _header() -> tuple[str, ...]:
    return ("setting", "seeds", *column_labels(), "rsum", "95 % interval of rsum")


def _row(summary: Summary) -> tuple[str, ...]:
    shown = {**metric_columns(), RSUM: 1}
    figures = [spread(summary.figures[name], digits) for name, digits in shown.items()]
    return (summary.setting.name, str(len(summary.setting.runs)), *figures, span(summary.intervals[RSUM]))


def _difference_row(one: Difference) -> tuple[str, ...]:
    seeds = "–" if one.seeds is None else probability("", one.seeds.p)
    ps = (probability("", one.p), probability("", one.corrected), seeds)
    return (f"{one.setting.name} − {one.baseline.name}", signed(one.rsum), span(one.interval), *ps)


def _remarks(one: Difference) -> list[str]:
    """What else a reader has to know about a difference."""
    counts = f"{len(one.setting.runs)} against {len(one.baseline.runs)}"
    if one.seeds is None:
        found = ["over seeds: not tested, a setting has 1 seed; another seed may give another sign"]
    else:
        least = f" can give no less than {one.seeds.smallest:.2g}" if one.seeds.smallest > 0.01 else ""
        found = [f"over seeds: {probability('p', one.seeds.p)} ({counts}{least})"]
    low, high = one.interval
    if low <= 0 <= high and one.p < 0.05:
        found.append("these models differ on these images, but the interval holds 0: other seeds may give another sign")
    if one.differs:
        more = f"; and {len(one.differs) - _MOST_KEYS} more" if len(one.differs) > _MOST_KEYS else ""
        found.append(f"differs in {'; '.join(one.differs[:_MOST_KEYS])}{more}")
    return found


def spread(figure: Spread, digits: int = 1) -> str:
    """Mean and standard deviation; of one seed only what it gave."""
    mean = f"{figure.mean:.{digits}f}"
    return mean if figure.deviation is None else f"{mean} ± {figure.deviation:.{digits}f}"


def signed(value: float) -> str:
    """A difference with its sign, 0.0 without."""
    shown = f"{abs(value):.1f}"
    return shown if shown == "0.0" else f"{'+' if value > 0 else '−'}{shown}"


def span(bounds: tuple[float, float]) -> str:
    """``1.2 to 5.0``."""
    low, high = (f"{value:.1f}".replace("-0.0", "0.0").replace("-", "−") for value in bounds)
    return f"{low} to {high}"


def probability(name: str, value: float) -> str:
    """``p = 0.004`` or ``p < 0.001``; without a name the value alone."""
    shown = f"{value:.3f}" if value < 0.1 else f"{value:.2f}"
    if not name:
        return "<0.001" if value < 0.001 else shown
    return f"{name} < 0.001" if value < 0.001 else f"{name} = {shown}"


def markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as a table, the first as its header."""
    lines = ["| " + " | ".join(map(_escaped, row)) + " |" for row in rows]
    return [lines[0], "|---" + "|---:" * (len(rows[0]) - 1) + "|", *lines[1:]]


def _escaped(cell: str) -> str:
    for sign in "\\|*_<":
        cell = cell.replace(sign, f"\\{sign}")
    return cell
