"""Loggers, one or several, and what their classes accept."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from hydra.utils import get_class

from selfalign.commands import hydra_app
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
    assert hydra_app._has_wandb_key() != offline
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert hydra_app._has_wandb_key()


def test_several_loggers_compose() -> None:
    assert set(composed("logger=[wandb,tensorboard]")["logger"]) == {"wandb", "tensorboard"}
    assert composed()["logger"] == composed("logger=csv")["logger"] == {}
