"""Loggers, one or several, and what their classes accept."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from hydra.utils import get_class
from omegaconf import OmegaConf
from pytorch_lightning.loggers import WandbLogger

from selfalign.commands.loggers import completed_loggers, has_wandb_key
from tests.configs.test_composition import CONFIGS, composed


@pytest.mark.parametrize("option", sorted(path.stem for path in (CONFIGS / "logger").glob("*.yaml")))
def test_every_logger_s_settings_fit_its_class(option: str, tmp_path: Path) -> None:
    for settings in composed(f"logger={option}")["logger"].values():
        target = get_class(settings.pop("_target_"))
        assert set(settings) <= set(inspect.signature(target).parameters)
        target(save_dir=str(tmp_path), **settings)


@pytest.mark.parametrize(
    ("host", "server", "offline"),
    [
        ("api.wandb.ai", "", False),
        ("api.forge.coreweave.com", "", False),
        ("wandb.lab.org:8080", "https://wandb.lab.org:8080/", False),
        ("api.wandb.ai", "https://wandb.lab.org", True),
        ("example.org", "", True),
    ],
)
def test_a_run_is_offline_unless_a_key_of_its_server_is_there(
    host: str, server: str, offline: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text(f"machine {host}\n  login user\n  password {'0' * 40}\n")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_BASE_URL", server)
    assert has_wandb_key() != offline
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert has_wandb_key()


def test_several_loggers_compose() -> None:
    assert set(composed("logger=[wandb,tensorboard]")["logger"]) == {"wandb", "tensorboard"}
    assert composed()["logger"] == composed("logger=csv")["logger"] == {}


def wandb(tmp_path: Path, **settings: object) -> dict[str, object]:
    """The settings of W&B's logger in a run of these settings of its own."""
    plain = {"seed": 3, "logger": {"wandb": composed("logger=wandb")["logger"]["wandb"] | settings}}
    choices = {"backbone": "camera", "loss": "selfalign", "data": "scenes"}
    hydra = {"mode": "RUN", "runtime": {"choices": choices}, "overrides": {"task": []}, "sweep": {"dir": "x"}}
    return completed_loggers(plain, tmp_path, OmegaConf.create(hydra))["wandb"]


VARIABLES = {
    "WANDB_PROJECT": ("project", "theirs"),
    "WANDB_NAME": ("name", "theirs"),
    "WANDB_RUN_GROUP": ("group", "theirs"),
    "WANDB_JOB_TYPE": ("job_type", "theirs"),
    "WANDB_TAGS": ("tags", "a,b"),
    "WANDB_MODE": ("mode", "disabled"),
    "WANDB_DIR": ("save_dir", "/theirs"),
}


@pytest.mark.parametrize("variable", VARIABLES)
def test_wandb_s_variables_win_over_defaults_and_settings_win_over_them(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*VARIABLES, "WANDB_API_KEY", "WANDB_RUN_ID", "WANDB_RESUME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    setting, value = VARIABLES[variable]
    assert wandb(tmp_path)[setting] is not None
    monkeypatch.setenv(variable, value)
    assert wandb(tmp_path).get(setting) is None, "left to W&B, which reads its variable"
    assert wandb(tmp_path, **{setting: "typed"})[setting] == "typed"


def test_wandb_is_as_its_variables_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What reaches wandb.init through Lightning's logger, which has defaults of its own."""
    monkeypatch.setenv("WANDB_PROJECT", "theirs")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("WANDB_RUN_ID", "given")
    monkeypatch.setenv("WANDB_RESUME", "must")
    settings = wandb(tmp_path)
    settings.pop("_target_")
    logger = WandbLogger(**settings)
    assert logger._wandb_init["project"] == "theirs"
    assert logger._wandb_init["resume"] == "must"
    assert logger.version == "given"
    assert "mode" not in logger._wandb_init
    assert not logger._offline
    (tmp_path / "wandb_id.txt").write_text("kept\n")
    assert wandb(tmp_path)["id"] == "kept", "a run that goes on is the run that it was"


def test_a_run_without_a_key_is_offline_unless_told_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    assert wandb(tmp_path)["mode"] == "offline"
    assert "mode" not in wandb(tmp_path, offline=False)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert "mode" not in wandb(tmp_path)
