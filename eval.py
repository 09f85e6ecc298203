"""Evaluate checkpoints: python eval.py checkpoints=[A.ckpt,B.ckpt] split=test."""

from selfalign.commands.eval import main

if __name__ == "__main__":
    main()
