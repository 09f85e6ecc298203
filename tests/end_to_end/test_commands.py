"""train.py and eval.py as a user runs them: real processes, real files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from selfalign.functional.similarity import multi_view_similarity
from selfalign.reports.curves import read_series

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
SCENES = ("data.scenes.train=60", "data.scenes.dev=10", "data.scenes.test=20")
TINY = (
    *SCENES,
    "data.batch_size=32",
    "backbone.width=16",
    "training.epochs=2",
    "loss.concept.prototypes=8",
    "strategy.accelerator=cpu",
)


def run(program: str, *overrides: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / program), *overrides],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=280,
        env=ENVIRONMENT,
    )


def succeed(program: str, *overrides: str, cwd: Path) -> str:
    done = run(program, *overrides, cwd=cwd)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def series(folder: Path) -> dict[str, tuple[list[int], list[float]]]:
    """What ``metrics.csv`` says of training, less how fast it was."""
    found = read_series(folder / "metrics.csv")
    assert "val/rsum" in found
    return {name: values for name, values in found.items() if name != "train/pairs_per_second"}


def results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained run of each backbone."""
    folder = tmp_path_factory.mktemp("runs")
    outputs = {
        "camera": succeed("train.py", *TINY, "hydra.run.dir=camera", cwd=folder),
        "vsrn": succeed("train.py", *TINY, "backbone=vsrn", "hydra.run.dir=vsrn", cwd=folder),
    }
    for name, output in outputs.items():
        (folder / f"{name}.out").write_text(output)
    return folder


@pytest.mark.parametrize("name", ["camera", "vsrn"])
def test_training_leaves_what_others_script_against(runs: Path, name: str) -> None:
    files = {str(path.relative_to(runs / name)) for path in (runs / name).rglob("*") if path.is_file()}
    assert {
        "results.json",
        "ranks.npz",
        "metrics.csv",
        "config.yaml",
        "curves.png",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
    } <= files
    record = results(runs / name)
    assert {"protocol", "split", "images", "captions", "i2t", "t2i", "rsum", "checkpoints", "seed", "versions"} < set(
        record
    )
    assert set(record["i2t"]) == {"r1", "r5", "r10", "median_rank", "mean_rank"}
    assert (record["images"], record["captions"], record["split"], record["protocol"]) == (20, 100, "test", "full")
    assert record["rsum"] == pytest.approx(sum(record[side][r] for side in ("i2t", "t2i") for r in ("r1", "r5", "r10")))
    assert 0 <= record["alignment"]["accuracy"] <= 100
    assert record["alignment"]["words"] > 100
    output = (runs / f"{name}.out").read_text()
    for part in ("R@1", "median rank", "image → text", "rsum", "20 images, 100 captions", "object words"):
        assert part in output


@pytest.mark.parametrize("name", ["camera", "vsrn"])
def test_evaluation_reproduces_training_to_the_last_digit(runs: Path, name: str) -> None:
    succeed(
        "eval.py",
        f"checkpoints=[{name}/checkpoints/best.ckpt]",
        f"hydra.run.dir=eval-{name}",
        "strategy.accelerator=cpu",
        cwd=runs,
    )
    trained, evaluated = results(runs / name), results(runs / f"eval-{name}")
    for key in ("i2t", "t2i", "rsum", "images", "captions", "protocol", "seed", "alignment"):
        assert evaluated[key] == trained[key]


def test_an_ensemble_is_the_mean_of_similarities(runs: Path) -> None:
    names = ("camera", "vsrn")
    for name in (*names, ",".join(names)):
        checkpoints = ",".join(f"{part}/checkpoints/best.ckpt" for part in name.split(","))
        folder = "emb-" + name.replace(",", "-")
        succeed(
            "eval.py",
            f"checkpoints=[{checkpoints}]",
            "save_embeddings=true",
            f"hydra.run.dir={folder}",
            "strategy.accelerator=cpu",
            cwd=runs,
        )
    alone = [load_file(runs / f"emb-{name}" / "embeddings.safetensors") for name in names]
    for tensors in alone:
        torch.testing.assert_close(
            multi_view_similarity(tensors["image"], tensors["caption"]), tensors["similarity"], rtol=0, atol=1e-5
        )
    together = load_file(runs / "emb-camera-vsrn" / "embeddings.safetensors")
    mean = (alone[0]["similarity"] + alone[1]["similarity"]) / 2
    torch.testing.assert_close(together["similarity"], mean, rtol=0, atol=1e-6)
    scores = together["similarity"].numpy()
    best = np.array([scores[image, 5 * image : 5 * image + 5].max() for image in range(20)])
    recall = 100 * np.mean((scores >= best[:, None]).sum(axis=1) == 1)
    assert results(runs / "emb-camera-vsrn")["i2t"]["r1"] == pytest.approx(recall)


def test_runs_and_ensembles_are_compared_by_the_ranks_that_they_keep(runs: Path) -> None:
    succeed(
        "eval.py",
        "checkpoints=[camera/checkpoints/best.ckpt,vsrn/checkpoints/best.ckpt]",
        "hydra.run.dir=together",
        "strategy.accelerator=cpu",
        cwd=runs,
    )
    done = subprocess.run(
        [sys.executable, "-m", "selfalign.compare", "camera", "vsrn", "together", "--against", "vsrn"],
        cwd=runs,
        capture_output=True,
        text=True,
        env=ENVIRONMENT | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    for name in ("camera", "vsrn", "together"):
        assert f"{results(runs / name)['rsum']:.1f}" in done.stdout
    assert "ensemble of 2 camera infonce+words + vsrn infonce+words − vsrn infonce+words: " in done.stdout
    assert "20 images" in done.stdout


def test_the_same_seed_gives_the_same_numbers(runs: Path) -> None:
    succeed("train.py", *TINY, "backbone=vsrn", "hydra.run.dir=again", cwd=runs)
    assert results(runs / "again")["rsum"] == results(runs / "vsrn")["rsum"]
    assert series(runs / "again") == series(runs / "vsrn")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("data=precomputed", "data.root=nowhere", "backbone=vsrn"), "no such folder"),
        (("data.size=3",), "size"),
        (("+typo=1",), "typo: unknown setting"),
        (("backbone=resnet",), "resnet"),
        (("loss.context.weight=-1",), "loss.context.weight"),
        (("data=precomputed", "data.root=data/scenes", "data.val_split=test", "backbone=vsrn"), "three splits"),
        (("backbone.bert.source=no/such-model",), "backbone.bert.source=DIR"),
    ],
)
def test_a_user_s_mistake_is_one_line_and_a_failure(runs: Path, overrides: tuple[str, ...], message: str) -> None:
    tiny = [item for item in TINY if "data=precomputed" not in overrides or item not in SCENES]
    done = run("train.py", *tiny, *overrides, cwd=runs)
    assert done.returncode != 0
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert not list(runs.glob("runs/**/*.ckpt"))


def test_an_interrupted_run_keeps_its_last_state(runs: Path) -> None:
    arguments = [*TINY, "training.epochs=500", "backbone=vsrn", "hydra.run.dir=interrupted"]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *arguments],
        cwd=runs,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs of a shell ignore it
    )
    for line in process.stdout:
        if line.startswith("step"):
            process.send_signal(signal.SIGINT)
            break
    rest, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "interrupted at step" in rest
    checkpoint = torch.load(runs / "interrupted" / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] > 0
    assert checkpoint["optimizer_states"]


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x80\x02cos\nsystem\n(S'touch hacked'\ntR."])
def test_a_file_that_is_no_checkpoint_is_refused(runs: Path, content: bytes) -> None:
    (runs / "bad.ckpt").write_bytes(content)
    done = run("eval.py", "checkpoints=[bad.ckpt]", cwd=runs)
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1
    assert "bad.ckpt" in done.stderr
    assert not (runs / "hacked").exists()
