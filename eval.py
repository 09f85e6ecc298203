"""Evaluate checkpoints: python eval.py checkpoints=RUN split=test."""

from selfalign.commands.eval import main

if __name__ == "__main__":
    main()
