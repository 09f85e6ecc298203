"""Jobs of a sweep as its folder would show them, made of a few figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selfalign.runs.jobs import SweepJob

NOWHERE = Path("/nonexistent")
DATA = {"root": "data/scenes", "val_split": "dev", "test_split": "test", "validation_captions": 5000}


def record(selection: float, rsum: float = 300.0, commit: str = "abc") -> dict[str, Any]:
    """``results.json`` of a training run."""
    side = {"r1": 10.0, "r5": 20.0, "r10": 30.0}
    result = {"rsum": rsum, "i2t": side, "t2i": side}
    return {
        "selection": selection,
        "protocol": "full",
        "protocols": {"full": result},
        "alignment": {"accuracy": 12.5},
        "git_commit": commit,
    }


def done(typed: dict[str, str], selection: float, *, rsum: float = 300.0, **config: Any) -> SweepJob:
    """A job that ended well; ``config`` is what differs from the defaults, ``seed`` as typed."""
    settings = {"seed": int(typed.get("seed", 1024)), "data": DATA, "training": {"epochs": 3}} | config
    return SweepJob(NOWHERE / "job", typed, settings, record(selection, rsum))


def failed(typed: dict[str, str], reason: str) -> SweepJob:
    """A job that failed."""
    return SweepJob(NOWHERE / "job", typed, failure=reason)


def weighted(values: dict[str, list[float]]) -> list[SweepJob]:
    """One job a figure: weights of concept alignment, and the figures of their seeds 1, 2, …"""
    return [
        done({"loss.concept.weight": weight, "seed": str(seed)}, figure, loss={"concept": {"weight": float(weight)}})
        for weight, figures in values.items()
        for seed, figure in enumerate(figures, start=1)
    ]
