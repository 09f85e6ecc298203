"""Train a model: python train.py backbone=camera data=coco."""

import hydra
from omegaconf import DictConfig

from selfalign import assembly


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(config: DictConfig) -> float | None:
    return assembly.train(config)


if __name__ == "__main__":
    assembly.launch(assembly.resume if assembly.asks_to_resume() else main)
