"""The command, as a person types it, and what it leaves."""

from __future__ import annotations

import sys
from pathlib import Path

from selfalign.commands import extract as command

NAMES = ["a.png", "b b.jpg", 'it\'s "c".png', "Ünï.png", "<script>.png", "f/g.png", "h.png", "日.jpg", "j.png", "k.png"]
ARRAYS = ("ims", "boxes", "img_sizes")


def run(photos: Path, out: Path, model: Path, *options: str) -> None:
    sys.argv = [
        "selfalign extract",
        str(photos),
        "--out",
        str(out),
        "--split",
        "train",
        "--model",
        str(model),
        *options,
    ]
    command.main()


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir() if not path.name.endswith(".lock")}
