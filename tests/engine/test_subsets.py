"""Figures of a part of a split, and of a model on another data set, are those of their queries and said to be so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfalign.data.scenes import ensure_scenes
from selfalign.engine.evaluation import evaluate_checkpoints
from selfalign.errors import UserError
from selfalign.reports.html.contents import report
from selfalign.runs.answers_file import ANSWERS, read_answers
from selfalign.runs.ranks_file import NAME, read_ranks
from selfalign.runs.reading import read_run

BEST = Path(__file__).parents[1] / "old_runs" / "camera" / "checkpoints" / "best.ckpt"
CPU = {"strategy": "auto", "accelerator": "cpu", "devices": 1, "num_nodes": 1, "precision": "32-true"}
CAPTIONS = [0, 3, 4, 11, 12, 30, 59]
IMAGES = [2, 5, 11]

Evaluated = Callable[..., Path]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "scenes"
    ensure_scenes(root=root, seed=0, train=60, dev=10, test=12, progress=lambda line: None)
    return root


@pytest.fixture(scope="module")
def evaluated(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    """An evaluation of an old run on these scenes."""

    def run(**settings: Any) -> Path:
        folder = tmp_path_factory.mktemp("run")
        evaluate_checkpoints([BEST], folder, strategy=CPU, data={"root": str(data)}, **settings)
        return folder

    return run


def subset(folder: Path, of: str, rows: list[int], gallery: str) -> dict[str, str]:
    (folder / "chosen.txt").write_text("\n".join(map(str, rows)) + "\n")
    return {"file": str(folder / "chosen.txt"), "of": of, "gallery": gallery}


@pytest.fixture(scope="module")
def whole(evaluated: Evaluated) -> Path:
    return evaluated()


def results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())


def test_queries_of_a_subset_keep_their_ranks_in_the_whole_split(
    evaluated: Evaluated, whole: Path, tmp_path: Path
) -> None:
    found = evaluated(subset=subset(tmp_path, "captions", CAPTIONS, "whole"))
    before, after = (read_ranks(folder / NAME) for folder in (whole, found))
    images = sorted({row // 5 for row in CAPTIONS})
    assert after.protocols["full"].t2i.tolist() == before.protocols["full"].t2i[CAPTIONS].tolist()
    assert after.protocols["full"].i2t.tolist() == before.protocols["full"].i2t[images].tolist()
    assert after.queries != before.queries
    record = results(found)
    assert record["t2i"]["r5"] == pytest.approx(100 * (before.protocols["full"].t2i[CAPTIONS] <= 5).mean())
    assert record["subset"] == {
        "file": "chosen.txt",
        "of": "captions",
        "gallery": "whole",
        "captions": "0,3-4,11-12,30,59",
    }
    assert "alignment" not in record  # which is of the whole split
    run = read_run(found)
    assert run.captions_per_image.tolist() == [3, 2, 1, 1]
    assert run.split == "test, subset chosen.txt ranked in the whole split"


def test_a_subset_can_be_a_gallery_of_its_own(evaluated: Evaluated, data: Path, tmp_path: Path) -> None:
    found = evaluated(subset=subset(tmp_path, "images", IMAGES, "subset"), answers=20, embeddings=True)
    record = results(found)
    assert (record["images"], record["captions"]) == (3, 15)
    from safetensors.numpy import load_file

    similarity = load_file(found / "embeddings.safetensors")["similarity"]
    assert similarity.shape == (3, 15)
    right = similarity[np.arange(15) // 5, np.arange(15)]
    expected = 1 + (similarity > right).sum(axis=0)
    assert read_ranks(found / NAME).protocols["full"].t2i.tolist() == expected.tolist()
    assert read_answers(found / ANSWERS).i2t.shape == (3, 15)
    small = tmp_path / "small"  # the same images as a split of their own
    small.mkdir()
    for name in ("ims", "boxes", "img_sizes"):
        np.save(small / f"test_{name}.npy", np.load(data / f"test_{name}.npy")[IMAGES])
    lines = (data / "test_caps.txt").read_text().splitlines()
    (small / "test_caps.txt").write_text("\n".join(lines[5 * image + j] for image in IMAGES for j in range(5)) + "\n")
    record = evaluate_checkpoints([BEST], tmp_path, strategy=CPU, data={"root": str(small)})
    assert record["i2t"] == results(found)["i2t"]
    assert record["t2i"] == results(found)["t2i"]


@pytest.mark.parametrize(("of", "rows"), [("captions", CAPTIONS), ("images", IMAGES)])
@pytest.mark.parametrize("gallery", ["whole", "subset"])
def test_the_report_finds_the_captions_and_pictures_of_a_subset(
    evaluated: Evaluated, tmp_path: Path, of: str, rows: list[int], gallery: str
) -> None:
    found = evaluated(subset=subset(tmp_path, of, rows, gallery))
    (group,) = report([read_run(found)]).groups
    assert group.missing == ""
    assert (
        f"subset chosen.txt ranked {'in the whole split' if gallery == 'whole' else 'among themselves'}" in group.title
    )
    known = {f"test_{row // 5 if of == 'captions' else row:05}.png" for row in rows}
    shown = {query.query.text for query in group.images} | {query.right[0].text for query in group.captions}
    assert shown
    assert shown <= known


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"protocols": ["coco_1k_5fold"]}, "is of a whole split; pass protocol=full"),
        ({"answers": 5}, r"pass subset\.gallery=subset"),
    ],
)
def test_what_a_subset_cannot_have_is_refused(
    evaluated: Evaluated, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        evaluated(subset=subset(tmp_path, "images", IMAGES, "whole"), **settings)


def test_a_model_on_another_data_set_keeps_its_words_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other_scenes"
    ensure_scenes(root=other, seed=9, train=2, dev=1, test=7, progress=lambda line: None)
    record = evaluate_checkpoints([BEST], tmp_path, strategy=CPU, data={"root": str(other)})
    assert (record["images"], record["captions"]) == (7, 35)
    assert Path(record["data_root"]).name == "other_scenes"
    assert Path(record["models"][0]["data"]["root"]).name == "scenes"
    assert "trained on other data: scenes" in capsys.readouterr().out
    assert read_run(tmp_path).trained_on == ("scenes",)


def test_a_data_set_of_other_features_is_refused_in_one_line(data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(data, other, ignore=shutil.ignore_patterns("images", "train*", "dev*"))
    features = np.load(data / "test_ims.npy")
    width = features.shape[-1]
    np.save(other / "test_ims.npy", features[..., :-1])
    with pytest.raises(UserError, match=f"{width - 1} wide, the model was trained on {width}"):
        evaluate_checkpoints([BEST], tmp_path, strategy=CPU, data={"root": str(other)})
