"""What Lightning calls during a training run: what it keeps, says, draws and watches."""
