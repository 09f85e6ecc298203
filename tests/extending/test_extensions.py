"""A loss, a backbone, a data set, a logger: a class and a row or a YAML file, and nothing else, makes them work."""

from __future__ import annotations

import copy
import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hydra.core.config_store import ConfigStore

from selfalign.commands.composing import composed, prepared, store_schema
from selfalign.engine import training
from selfalign.engine.modules.retrieval import RetrievalModule
from selfalign.errors import UserError
from selfalign.reports.comparison.compared_settings import group, shared_protocol
from selfalign.runs.checkpoint import read_checkpoint
from selfalign.runs.reading import read_runs
from tests.extending.toys import added
from tests.starting.processes import ROOT, run_fresh

RUNNER = """
import sys
sys.path.insert(0, {root!r})
from tests.extending.toys import added
from selfalign.commands import train
with added():
    train.main()
"""


@pytest.fixture(autouse=True)
def toys() -> Iterator[None]:
    """Gone again afterwards, also from what Hydra holds for the next test of this process."""
    store_schema()
    store = ConfigStore.instance().repo
    before = {axis: copy.deepcopy(store[axis]) for axis in ("backbone", "loss", "recipe")}
    with added():
        yield
    store.update(before)


@pytest.mark.parametrize("line", ["loss.ranking=soft", "loss/ranking=soft"])
def test_a_ranking_loss_is_chosen_by_its_name(line: str) -> None:
    config = composed([line, "loss.ranking.sharpness=3"])
    assert config["loss"]["ranking"] == {"name": "soft", "weight": 1.0, "sharpness": 3.0}


def test_a_ranking_loss_sweeps_and_its_settings_are_checked() -> None:
    assert prepared(["-m", "loss.ranking=hinge,soft"], "train") == ["-m", "loss/ranking=hinge,soft"]
    with pytest.raises(UserError, match=r"loss\.ranking: expected one of .*hinge.*soft.*, got 'x'"):
        prepared(["loss.ranking=x"], "train")
    with pytest.raises(UserError, match=r"loss\.ranking\.sharpness: expected a number above 0, got -1"):
        prepared(["loss.ranking=soft", "loss.ranking.sharpness=-1"], "train")
    with pytest.raises(UserError, match=r"loss\.ranking\.margin: unknown setting here"):
        prepared(["loss.ranking=soft", "loss.ranking.margin=0.1"], "train")


def test_a_backbone_needs_no_recipe_of_a_data_set() -> None:
    flickr, coco, drawn = (composed(["backbone=bags", f"data={data}"]) for data in ("f30k", "coco", "scenes"))
    assert [config["training"]["epochs"] for config in (flickr, coco, drawn)] == [2, 3, 2]
    assert flickr["training"]["learning_rate"] == 1e-2
    assert "diversity" not in flickr["loss"]
    assert "captioning" not in flickr["loss"]


@pytest.fixture
def trained(scan_folder: Path, tmp_path: Path) -> Path:
    config = composed(
        [
            "backbone=bags",
            "data=precomputed",
            f"data.root={scan_folder}",
            "data.workers=0",
            "data.batch_size=12",
            "loss=baseline",
            "loss.ranking=soft",
            "loss.decorrelation.weight=0.5",
            "strategy.accelerator=cpu",
        ]
    )
    config.pop("logger")
    training.train(config, tmp_path / "run", [])
    return tmp_path / "run"


def test_loss_and_backbone_train_and_their_checkpoint_is_rebuilt(trained: Path) -> None:
    record = json.loads((trained / "results.json").read_text())
    (model,) = record["models"]
    assert (model["backbone"]["name"], model["loss"]["ranking"]["name"]) == ("bags", "soft")
    assert {"mrr", "r1"} <= set(record["i2t"])
    with (trained / "metrics.csv").open() as file:
        header = next(csv.reader(file))
    assert {"train/ranking", "train/decorrelation", "val/i2t_mrr"} <= set(header)
    provenance, weights = read_checkpoint(trained / "checkpoints" / "best.ckpt")
    module = RetrievalModule.load_from_checkpoint(trained / "checkpoints" / "best.ckpt")
    assert set(module.losses) == {"ranking", "decorrelation"}
    assert all(torch.equal(values, weights[name]) for name, values in module.state_dict().items())
    assert provenance.config["training"]["epochs"] == 2


def test_comparisons_tell_it_by_name(trained: Path) -> None:
    runs = read_runs([trained])
    (setting,) = group(runs, shared_protocol(runs, None))
    assert setting.name.startswith("bags ")
    assert setting.keys["loss.ranking.name"] == "soft"


def test_a_sweep_over_losses_with_a_logger_and_a_data_set_of_one_file_each(scan_folder: Path, tmp_path: Path) -> None:
    """Real process; the logger's class takes no save_dir."""
    mine = tmp_path / "mine"
    (mine / "data").mkdir(parents=True)
    (mine / "logger").mkdir()
    (mine / "data" / "mine.yaml").write_text(f"defaults:\n  - precomputed\n  - _self_\nroot: {scan_folder}\n")
    notes = f"notes:\n  _target_: tests.extending.toys.NotesLogger\n  notes: {tmp_path / 'notes.jsonl'}\n"
    (mine / "logger" / "notes.yaml").write_text(notes)
    arguments = ["-m", "--config-dir", str(mine), "data=mine", "logger=notes", "backbone=bags", "loss=baseline"]
    arguments += ["loss.ranking=hinge,soft", "data.workers=0", "data.batch_size=12", "strategy.accelerator=cpu"]
    (tmp_path / "with_toys.py").write_text(RUNNER.format(root=str(ROOT)))
    done = run_fresh("with_toys.py", *arguments, "hydra.sweep.dir=sweep", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    with (tmp_path / "sweep" / "leaderboard.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["loss/ranking"] for row in rows} == {"hinge", "soft"}
    assert all(float(row["test_i2t_mrr_mean"]) > 0 for row in rows)
    assert "MRR" in done.stdout
    logged = [json.loads(line) for line in (tmp_path / "notes.jsonl").read_text().splitlines()]
    assert any("train/ranking" in row for row in logged)
    assert any("test/t2i_mrr" in row for row in logged)
