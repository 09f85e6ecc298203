"""A run with everything that a page shows, its captions, names, settings and series as hostile as they can be."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from selfalign.data.scenes import ensure_scenes
from selfalign.data.text.captions import read_captions
from tests.page.hostile import SCRIPT, hostile_copy
from tests.runs.made_runs import ranked, write_run

IMAGES = 12


def hostile_data(folder: Path) -> Path:
    """Twelve scenes, some with captions and names that are HTML, some with photographs that are none."""
    ensure_scenes(root=folder / "scenes", seed=0, train=2, dev=1, test=IMAGES, progress=lambda line: None)
    return hostile_copy(folder / "scenes", folder / "data")


def full_run(folder: Path, data: Path, seed: int = 1, **record: object) -> Path:
    """An evaluation of these data, with curves, a sheet and a command line."""
    texts = read_captions(data / "test_caps.txt")
    alignment = {"accuracy": 50.0, "chance": 11.0, "words": 100, "pointing": 60.0, SCRIPT: 1.0}
    write_run(
        folder,
        seed=seed,
        results=[ranked(seed, 0.3, IMAGES)],
        texts=texts,
        data_root=str(data),
        alignment=alignment,
        versions={"python": SCRIPT},
        **record,
    )
    head = f"step,epoch,train/loss,train/{SCRIPT.replace(',', '')},lr-Adam,val/i2t_r1,val/t2i_r1,val/rsum"
    rows = [f"{step},0,{9 / (step + 1)},nan,0.001,{step % 90},{step % 70},{step}" for step in range(0, 2000, 4)]
    (folder / "metrics.csv").write_text("\n".join([head, *rows]) + "\n")
    (folder / "pictures").mkdir()
    Image.new("RGB", (1600, 300), "orange").save(folder / "pictures" / "words.png")
    (folder / "pictures" / "retrieval.png").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "overrides.yaml").write_text(f"- data.root={data}\n- \"seed='<b>{seed}</b>'\"\n")
    (folder / ".hydra" / "hydra.yaml").write_text("hydra:\n  job:\n    name: train\n")
    return folder
