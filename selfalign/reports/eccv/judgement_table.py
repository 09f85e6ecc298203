"""A judgement as a table for the terminal."""

from __future__ import annotations

from selfalign.reports.columns import columns
from selfalign.reports.eccv.judging import Judgement
from selfalign.reports.eccv.official import EXTENDED
from selfalign.runs.results import DIRECTIONS

_TRUTHS = {EXTENDED: "ECCV Caption", "cxc": "CxC", "coco_1k": "COCO 1K", "coco_5k": "COCO 5K"}
_NAMES = {"map_at_r": "mAP@R", "r_precision": "R-Precision", "r1": "R@1", "r5": "R@5", "r10": "R@10"}
_ASSUMED = "assumed"


def text(judgement: Judgement) -> str:
    """Figures with intervals where there are any, and what they rest on."""
    rows = [["", "", "image → text", "95 %", "queries", "text → image", "95 %", "queries"]]
    for truth, title in _TRUTHS.items():
        for number, name in enumerate(judgement.figures[truth]["i2t"]):
            row = [title if number == 0 else "", _NAMES[name]]
            for side in DIRECTIONS:
                ends = judgement.intervals[side].get(name) if truth == EXTENDED else None
                row += [
                    f"{judgement.figures[truth][side][name]:.1f}",
                    "" if ends is None else f"{ends[0]:.1f} to {ends[1]:.1f}",
                    f"{judgement.queries[truth][side]:,}" if number == 0 else "",
                ]
            rows.append(row)
    return "\n".join([_heading(judgement), "", *columns(rows, left=2), "", *_notes(judgement)])


def _heading(judgement: Judgement) -> str:
    return (
        f"{judgement.run}, {judgement.split}: {judgement.images:,} images, {judgement.captions:,} captions, the first "
        f"{judgement.depth:,} answers of each; eccv_caption {judgement.package}"
    )


def _notes(judgement: Judgement) -> list[str]:
    notes = ["percent; intervals: bootstrap over query images, each with its query captions"]
    if judgement.caption_order.startswith(_ASSUMED):
        notes.append(
            "captions inside an image: assumed to be in ascending order of COCO's ids, as no file says it; if they are "
            "not, the figures of ECCV Caption and CxC are wrong"
        )
    else:
        notes.append(f"captions inside an image: as {judgement.caption_order} says")
    notes.append(f"equal to results.json: the recalls of {' and '.join(judgement.same)}")
    return notes
