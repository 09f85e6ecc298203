"""Evaluate checkpoints: python eval.py checkpoints=RUN split=test."""

import hydra
from omegaconf import DictConfig

from selfalign.commands import gate, hydra_app


@hydra.main(version_base="1.3", config_path="configs", config_name="eval")
def main(config: DictConfig) -> None:
    hydra_app.evaluate(config)


if __name__ == "__main__":
    gate.check_first(hydra_app.evaluation_settings)
    hydra_app.launch(main)
