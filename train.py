"""Train a model: python train.py backbone=camera data=coco."""

from selfalign.commands.train import main

if __name__ == "__main__":
    main()
