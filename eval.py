"""Evaluate checkpoints: python eval.py checkpoints=[A.ckpt,B.ckpt] split=test."""

import hydra
from omegaconf import DictConfig

from selfalign import assembly


@hydra.main(version_base="1.3", config_path="configs", config_name="eval")
def main(config: DictConfig) -> None:
    assembly.evaluate(config)


if __name__ == "__main__":
    assembly.launch(main)
