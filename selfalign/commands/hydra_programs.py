"""``train`` and ``eval`` as Hydra starts them: their settings come from ``configs/train.yaml`` and ``eval.yaml``."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from selfalign.commands import hydra_app
from selfalign.commands.composing import store_schema
from selfalign.commands.configs_folder import CONFIGS

store_schema()  # Hydra's own --help and --cfg read it, too


@hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="train")
def training(config: DictConfig) -> float | None:
    """One training run; in a sweep its validation figure."""
    return hydra_app.train(config)


@hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="eval")
def evaluation(config: DictConfig) -> None:
    """One evaluation."""
    hydra_app.evaluate(config)
