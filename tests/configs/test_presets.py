"""Presets, ablations and the smoke setting differ from a plain run in what they name, and in nothing else."""

from __future__ import annotations

import shutil
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from selfalign.commands.composing import plain
from selfalign.reports.leaderboard.standings import flat
from tests.configs import test_composition
from tests.configs.test_composition import CONFIGS, LOSSES

composed = cache(test_composition.composed)  # read only: many tests compare with the same run
PUBLISHED = tuple(product(("camera", "vsrn"), ("f30k", "coco")))
PRESETS = sorted(path.stem for path in (CONFIGS / "experiment").glob("*.yaml"))


def differences(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    one, other = flat(one), flat(other)
    absent = object()
    return {key for key in one.keys() | other.keys() if one.get(key, absent) != other.get(key, absent)}


def read(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text())
    return {key: value for key, value in content.items() if key != "defaults"}


@pytest.mark.parametrize(("pair", "loss"), list(product(PUBLISHED, LOSSES)))
def test_a_preset_and_an_ablation_are_the_plain_run_of_that_name(pair: tuple[str, str], loss: str) -> None:
    backbone, data = pair
    preset = composed(f"experiment={backbone}_{data}", f"loss={loss}")
    assert preset == composed(f"backbone={backbone}", f"data={data}", f"loss={loss}")


ABLATIONS = {
    "selfalign": set(),
    "concept": {"loss.context.weight"},
    "context": {"loss.concept.weight"},
    "baseline": {"loss.towers", "loss.concept.weight", "loss.context.weight"},
}


@pytest.mark.parametrize(("preset", "loss"), list(product(PRESETS, ABLATIONS)))
def test_an_ablation_takes_away_what_it_is_named_after(preset: str, loss: str) -> None:
    ablated, complete = composed(f"experiment={preset}", f"loss={loss}"), composed(f"experiment={preset}")
    assert differences(ablated, complete) == ABLATIONS[loss]
    assert all(flat(ablated)[key] in (0.0, "original") for key in ABLATIONS[loss])


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_holds_only_what_differs(preset: str) -> None:
    config = composed(f"experiment={preset}")
    plain = composed(f"backbone={config['backbone']['name']}", f"data={preset.split('_')[0 if 'f8k' in preset else 1]}")
    assert differences(config, plain) == set(flat(read(CONFIGS / "experiment" / f"{preset}.yaml")))


@pytest.mark.parametrize(("backbone", "data"), PUBLISHED)
def test_smoke_makes_small_what_it_names_and_nothing_else(backbone: str, data: str) -> None:
    files = (CONFIGS / "debug" / "smoke.yaml", CONFIGS / "debug" / "size" / f"smoke_{backbone}.yaml")
    named = {key for file in files for key in flat(read(file))}
    preset = f"experiment={backbone}_{data}"
    found = differences(composed(preset, "debug=smoke"), composed(preset))
    assert found <= named
    same = named - found
    assert same <= {"data.protocol"}  # Flickr30K has no other


def test_the_command_line_has_the_last_word() -> None:
    config = composed("experiment=camera_f30k", "backbone=vsrn", "debug=smoke", "data.batch_size=7", "seed=3")
    assert config["backbone"]["name"] == "vsrn"
    assert config["training"]["learning_rate"] == 2e-4
    assert config["backbone"]["width"] == 64
    assert (config["data"]["batch_size"], config["seed"]) == (7, 3)


def test_a_preset_may_set_everything(tmp_path: Path) -> None:
    shutil.copytree(CONFIGS, tmp_path / "configs")
    settings = {
        "seed": 7,
        "padding": "paper",
        "compile": True,
        "training": {"epochs": 2},
        "loss": {"towers": "original"},
    }
    text = "# @package _global_\ndefaults:\n  - override /backbone: vsrn\n" + yaml.safe_dump(settings)
    (tmp_path / "configs" / "experiment" / "mine.yaml").write_text(text)
    with initialize_config_dir(str(tmp_path / "configs"), version_base="1.3"):
        config = plain(compose("train", ["experiment=mine"]), "train", [])
    assert differences(config, composed("backbone=vsrn")) == set(flat(settings))


def with_hydra(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("train", list(overrides), return_hydra_config=True).hydra


def test_a_search_composes() -> None:
    sweeper = with_hydra("sweep=optuna", "hydra.sweeper.n_trials=5").sweeper
    assert sweeper._target_.endswith("OptunaSweeper")
    assert (sweeper.direction, sweeper.n_trials, sweeper.sampler.seed) == ("maximize", 5, 1)
    assert composed("sweep=optuna") == composed()


SLURM = (
    "partition=gpu",
    "gpus_per_node=1",
    "cpus_per_task=8",
    "mem_gb=32",
    "timeout_min=720",
    "array_parallelism=8",
    "signal_delay_s=120",
)


@pytest.mark.parametrize(
    ("launcher", "settings"),
    [("joblib", ("n_jobs=2",)), ("submitit_local", ("timeout_min=60",)), ("submitit_slurm", SLURM)],
)
def test_launchers_compose_with_a_sweep(launcher: str, settings: tuple[str, ...]) -> None:
    plugin = launcher.split("_")[0]
    hydra = with_hydra(f"hydra/launcher={launcher}", *(f"hydra.launcher.{setting}" for setting in settings))
    assert plugin in hydra.launcher._target_
    assert {f"{name}={hydra.launcher[name]}" for name in (setting.split("=")[0] for setting in settings)} == set(
        settings
    )
