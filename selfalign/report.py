"""What a run leaves to be read: results.json, a table, training curves, embeddings."""

from __future__ import annotations

import csv
import json
import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from selfalign.functional.similarity import joint_embeddings
from selfalign.metrics.protocols import DirectionResult, RetrievalResult
from selfalign.structures import CaptionEmbedding, ImageEmbedding

_NO_LOSSES = ("train/similarity", "train/prototype", "train/gradient_norm", "train/pairs_per_second")
_LIBRARIES = ("selfalign", "torch", "pytorch-lightning", "transformers", "torchmetrics", "numpy")


def environment() -> dict[str, Any]:
    """Versions of the libraries and the commit of the code."""
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {"versions": versions, "git_commit": _commit()}


def _commit() -> str | None:
    """Commit of the checkout that this code runs from, ``+`` when it differs; ``None`` outside a checkout."""

    def git(*words: str) -> str:
        folder = Path(__file__).parent
        return subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def save_results(record: dict[str, Any], path: Path) -> None:
    """Write a result as JSON; nobody ever sees half a file."""
    temporary = path.with_suffix(".json.partial")
    temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def result_series(record: dict[str, Any]) -> dict[str, float]:
    """The test figures of a result as series for a logger: ``test/i2t_r1`` …, further protocols under their names."""
    series = {}
    for number, (protocol, result) in enumerate(record["protocols"].items()):
        place = f"test/{protocol}" if number else "test"
        series[f"{place}/rsum"] = result["rsum"]
        series |= {f"{place}/{side}_{name}": value for side in ("i2t", "t2i") for name, value in result[side].items()}
    return series


def save_embeddings(pairs: Sequence[tuple[ImageEmbedding, CaptionEmbedding]], similarity: Tensor, path: Path) -> None:
    """Write ``image`` (N, [V,] ·), ``caption`` (M, ·) and ``similarity`` (N, M) in fp32.

    ``similarity`` is the largest dot product of a caption with an image's views:
    ``selfalign.functional.similarity.multi_view_similarity``. The models of an ensemble are ``image.0``, ``image.1`` …
    """
    tensors = {"similarity": similarity}
    for index, pair in enumerate(pairs):
        suffix = f".{index}" if len(pairs) > 1 else ""
        image, caption = joint_embeddings(*pair)
        tensors |= {f"image{suffix}": image, f"caption{suffix}": caption}
    save_file({name: values.float().cpu().contiguous() for name, values in tensors.items()}, path)


def table(results: Sequence[RetrievalResult], record: dict[str, Any]) -> str:
    """The figures of one evaluation, for a terminal."""
    lines = []
    for result in results:
        lines += [
            "",
            f"{record['split']}: {result.images:,} images, {result.captions:,} captions, protocol {result.protocol}",
            f"{'':14}{'R@1':>7}{'R@5':>7}{'R@10':>7}{'median rank':>13}{'mean rank':>11}",
            _row("image → text", result.i2t),
            _row("text → image", result.t2i),
            f"{'rsum':14}{result.rsum:7.1f}",
        ]
        for number, fold in enumerate(result.folds, start=1):
            lines.append(f"  fold {number}: {_recalls(fold.i2t)} · {_recalls(fold.t2i)} · rsum {fold.rsum:.1f}")
    if (alignment := record.get("alignment")) is not None:
        lines.append(
            f"{'alignment':14}{alignment['accuracy']:7.1f} % of {alignment['words']:,} object words choose a region on "
            f"their object (chance {alignment['chance']:.1f} %)"
        )
    return "\n".join(lines)


def _recalls(side: DirectionResult) -> str:
    return f"{side.r1:.1f} {side.r5:.1f} {side.r10:.1f}"


def _row(name: str, side: DirectionResult) -> str:
    return f"{name:14}{side.r1:7.1f}{side.r5:7.1f}{side.r10:7.1f}{side.median_rank:13.0f}{side.mean_rank:11.1f}"


def save_curves(metrics: Path, path: Path) -> None:
    """Draw every training loss and the validation recalls of a ``metrics.csv`` as one PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    series = read_series(metrics)
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    losses, recalls = figure.subplots(1, 2)
    names = [name for name in series if name.startswith("train/") and not name.startswith(_NO_LOSSES)]
    for name in names:
        losses.plot(*series[name], label=name.removeprefix("train/"), linewidth=1.2)
    losses.set(xlabel="step", ylabel="loss before its weight", yscale="log", title="Training")
    for side, style in (("i2t", "-"), ("t2i", "--")):
        for depth, colour in (("r1", "#c0504d"), ("r5", "#4f81bd"), ("r10", "#77933c")):
            if (name := f"val/{side}_{depth}") in series:
                label = f"{side} R@{depth[1:]}"
                recalls.plot(*series[name], style, color=colour, label=label, marker="o", markersize=3)
    recalls.set(xlabel="step", ylabel="recall, %", ylim=(0, 100), title="Validation")
    for axes in (losses, recalls):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8, loc="best")
    figure.savefig(path, dpi=130)


def read_series(metrics: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Steps and values of every column of a ``metrics.csv``."""
    series: dict[str, tuple[list[int], list[float]]] = {}
    with metrics.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value and name not in ("step", "epoch"):
                    steps, values = series.setdefault(name, ([], []))
                    steps.append(int(row["step"]))
                    values.append(float(value))
    return series
