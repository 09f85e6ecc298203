"""train.py and eval.py as a user runs them: real processes, real files."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from selfalign.functional.similarity import multi_view_similarity
from tests.end_to_end.commands import SCENES, TINY, VSRN, results, run, start, succeed
from tests.starting import processes


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained run of each backbone."""
    folder = tmp_path_factory.mktemp("runs")
    outputs = {
        "camera": succeed("train.py", *TINY, "hydra.run.dir=camera", cwd=folder),
        "vsrn": succeed("train.py", *VSRN, "hydra.run.dir=vsrn", cwd=folder),
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


@pytest.fixture(scope="module")
def evaluated(runs: Path) -> Path:
    """The same folder with evaluations of either run, and of both together."""
    for names in ("camera", "vsrn", "camera,vsrn"):
        checkpoints = ",".join(f"{name}/checkpoints/best.ckpt" for name in names.split(","))
        settings = (f"hydra.run.dir=eval-{names.replace(',', '-')}", "save_embeddings=true", "strategy.accelerator=cpu")
        succeed("eval.py", f"checkpoints=[{checkpoints}]", *settings, cwd=runs)
    return runs


@pytest.mark.parametrize("name", ["camera", "vsrn"])
def test_evaluation_reproduces_training_to_the_last_digit(evaluated: Path, name: str) -> None:
    trained, again = results(evaluated / name), results(evaluated / f"eval-{name}")
    for key in ("i2t", "t2i", "rsum", "images", "captions", "protocol", "seed", "alignment"):
        assert again[key] == trained[key]


def test_an_ensemble_is_the_mean_of_similarities(evaluated: Path) -> None:
    runs, names = evaluated, ("camera", "vsrn")
    alone = [load_file(runs / f"eval-{name}" / "embeddings.safetensors") for name in names]
    for tensors in alone:
        torch.testing.assert_close(
            multi_view_similarity(tensors["image"], tensors["caption"]), tensors["similarity"], rtol=0, atol=1e-5
        )
    together = load_file(runs / "eval-camera-vsrn" / "embeddings.safetensors")
    mean = (alone[0]["similarity"] + alone[1]["similarity"]) / 2
    torch.testing.assert_close(together["similarity"], mean, rtol=0, atol=1e-6)
    scores = together["similarity"].numpy()
    best = np.array([scores[image, 5 * image : 5 * image + 5].max() for image in range(20)])
    recall = 100 * np.mean((scores >= best[:, None]).sum(axis=1) == 1)
    assert results(runs / "eval-camera-vsrn")["i2t"]["r1"] == pytest.approx(recall)


def test_runs_and_ensembles_are_compared_by_the_ranks_that_they_keep(evaluated: Path) -> None:
    arguments = ("selfalign.compare", "camera", "vsrn", "eval-camera-vsrn", "--against", "vsrn")
    done = processes.run("-m", *arguments, cwd=evaluated)
    assert done.returncode == 0, done.stderr
    for name in ("camera", "vsrn", "eval-camera-vsrn"):
        assert f"{results(evaluated / name)['rsum']:.1f}" in done.stdout
    assert "ensemble of 2 camera infonce+words + vsrn infonce+words − vsrn infonce+words: " in done.stdout
    assert "20 images" in done.stdout


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
    arguments = [*VSRN, "training.epochs=500", "hydra.run.dir=interrupted"]
    process = start("train.py", *arguments, cwd=runs)
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
