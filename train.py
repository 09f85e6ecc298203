"""Train a model: python train.py backbone=camera data=coco."""

import hydra
from omegaconf import DictConfig

from selfalign.commands import gate, hydra_app


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(config: DictConfig) -> float | None:
    return hydra_app.train(config)


if __name__ == "__main__":
    gate.check_first(hydra_app.training_settings)
    hydra_app.launch(hydra_app.resume if hydra_app.asks_to_resume() else main)
