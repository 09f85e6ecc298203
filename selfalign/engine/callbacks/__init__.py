"""What Lightning calls during a training run. Each file is one thing that a run keeps, says, draws or watches."""
