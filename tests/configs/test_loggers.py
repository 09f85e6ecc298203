"""Loggers, one or several, and what their classes accept."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from hydra.utils import get_class

from tests.configs.test_composition import CONFIGS, composed


@pytest.mark.parametrize("option", sorted(path.stem for path in (CONFIGS / "logger").glob("*.yaml")))
def test_every_logger_s_settings_fit_its_class(option: str, tmp_path: Path) -> None:
    for settings in composed(f"logger={option}")["logger"].values():
        target = get_class(settings.pop("_target_"))
        assert set(settings) <= set(inspect.signature(target).parameters)
        target(save_dir=str(tmp_path), **settings)


def test_several_loggers_compose() -> None:
    assert set(composed("logger=[wandb,tensorboard]")["logger"]) == {"wandb", "tensorboard"}
    assert composed()["logger"] == composed("logger=csv")["logger"] == {}
