"""What is typed: each command of the terminal, and the only code that knows Hydra, OmegaConf and argparse."""
