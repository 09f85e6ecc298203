"""The figures of one evaluation as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from selfalign.metrics.rank_metrics import rank_metrics
from selfalign.reports.columns import columns

if TYPE_CHECKING:
    from selfalign.metrics.protocols import DirectionResult, RetrievalResult


def table(results: Sequence[RetrievalResult], record: dict[str, Any]) -> str:
    """The figures of one evaluation, for a terminal."""
    lines = []
    for result in results:
        silent = result.images - result.image_queries
        without = f" ({silent:,} without a caption: no queries)" if silent else ""
        how = "only a part of the split: no protocol's figures" if result.protocol == "part" else None
        lines += [
            "",
            f"{record['split']}: {result.images:,} images{without}, {result.captions:,} captions, "
            f"{how or f'protocol {result.protocol}'}",
            *columns([_header(), _row("image → text", result.i2t), _row("text → image", result.t2i)]),
            f"rsum {result.rsum:.1f}",
        ]
        for number, fold in enumerate(result.folds, start=1):
            lines.append(f"  fold {number}: {_recalls(fold.i2t)} · {_recalls(fold.t2i)} · rsum {fold.rsum:.1f}")
    if (alignment := record.get("alignment")) is not None:
        lines.append(
            f"alignment {alignment['accuracy']:.1f} % of {alignment['words']:,} object words choose a region on "
            f"their object (chance {alignment['chance']:.1f} %)"
        )
        if "pointing" in alignment:  # records of earlier versions do not tell
            lines.append(
                f"{'':14}{alignment['pointing']:7.1f} % one whose centre lies on it (chance "
                f"{alignment['pointing_chance']:.1f} %), {alignment['phrase']:.1f} % by what is said of the object too"
            )
    return "\n".join(lines)


def _recalls(side: DirectionResult) -> str:
    return f"{side.r1:.1f} {side.r5:.1f} {side.r10:.1f}"


def _header() -> tuple[str, ...]:
    return ("", *(metric.label for metric in rank_metrics()))


def _row(name: str, side: DirectionResult) -> tuple[str, ...]:
    return (name, *(f"{side.figures[metric.name]:.{metric.digits}f}" for metric in rank_metrics()))
