"""A run, by Lightning: modules, trainer, training, evaluation. Lightning is known here and in the data module only."""
