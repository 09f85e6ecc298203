"""The card of an exported model: what it is, how good with which certainty, and how to load it, in Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfalign.errors import UserError
from selfalign.reports.comparison.compared_settings import model_keys, model_name
from selfalign.reports.comparison.comparing import Summary, compare
from selfalign.runs.reading import RSUM, Run, read_run
from selfalign.runs.results import DIRECTIONS

_SIDES = dict(zip(DIRECTIONS, ("image → text", "text → image"), strict=True))
_FIGURES = ("r1", "r5", "r10")


def measured_figures(folder: Path, config: Mapping[str, Any]) -> str:
    """Tables of what an evaluation found, each figure with its 95 % interval over images.

    Args:
        folder: of train.py's or eval.py's run.
        config: of the model that the figures have to be of.

    Raises:
        UserError: if the run is of another model or of several, unfinished or damaged.
    """
    run = read_run(folder)
    if len(run.models) != 1 or _told_apart(run.models[0]) != _told_apart(config):
        raise UserError(f"results {folder}: figures of other settings than this model's; name its own run")
    return "\n\n".join(_protocol(run, name) for name in run.protocols)


def _told_apart(config: Mapping[str, Any]) -> tuple[dict[str, str], Any]:
    keys = {key: value for key, value in model_keys(config).items() if key not in ("data.root", "data.images")}
    return keys, config.get("seed")


def _protocol(run: Run, name: str) -> str:
    comparison = compare([run], protocol=name)
    (summary,) = comparison.summaries
    lines = [
        f"Split {comparison.split}, {comparison.images:,} images, {comparison.captions:,} captions, protocol {name}, "
        f"seed {run.seeds[0]}:",
        "",
        "| | R@1 | R@5 | R@10 |",
        "|---|---|---|---|",
        *(
            f"| {words} | {' | '.join(_cell(summary, f'{side}_{r}') for r in _FIGURES)} |"
            for side, words in _SIDES.items()
        ),
        "",
        f"rsum {_cell(summary, RSUM)}. In brackets 95 % intervals of a bootstrap over images; they are of this trained "
        "model and say nothing of other seeds.",
    ]
    return "\n".join(lines)


def _cell(summary: Summary, figure: str) -> str:
    low, high = summary.intervals[figure]
    return f"{summary.figures[figure].mean:.1f} ({low:.1f} to {high:.1f})"


def model_card(
    config: Mapping[str, Any], region_width: int, figures: str | None, extractor: Mapping[str, Any] | None = None
) -> str:
    """The card; its licence is left to who publishes the model.

    Args:
        config: the settings that the model was trained with, without places on a machine.
        region_width: of the features that it was trained on.
        figures: of :func:`measured_figures`; ``None`` where the model was not evaluated.
        extractor: record of what made the training features; ``None`` where nothing told it.
    """
    data = Path(config["data"]["root"]).name
    return "\n".join(
        [
            "---",
            "library_name: selfalign",
            "tags:",
            "- image-text-retrieval",
            "license: other # yours to fill in: that of your data and features binds the weights",
            "---",
            "",
            f"# {model_name(config)} on {data}",
            "",
            f"Two towers for image-text retrieval, trained on the {config['data']['train_split']} split of {data} with "
            f"region features {region_width:,} wide. Features of another extractor will not do, even of this width.",
            "",
            _made_by(extractor),
            "",
            "## Use",
            "",
            "```python",
            "import selfalign",
            "",
            'model = selfalign.load("this folder, or its name at the hub")',
            'captions = model.encode_captions(["a dog runs on the beach"])',
            'images = model.encode_images("a folder of region features", split="test")',
            "hits = model.search(images, captions, top=5)",
            "```",
            "",
            "## Figures",
            "",
            figures or "None: the model was exported without an evaluation.",
            "",
            "## Setting",
            "",
            "```json",
            json.dumps(config, indent=1),
            "```",
            "",
        ]
    )


def _made_by(extractor: Mapping[str, Any] | None) -> str:
    if extractor is None:
        return "Nothing tells the extractor of those features."
    return (
        f"Their extractor is `selfalign extract --model {extractor['extractor']['model']}`, digest "
        f"`{extractor['digest']}`; `selfalign index MODEL --photos FOLDER` does the same to photographs."
    )
