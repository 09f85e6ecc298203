"""A run, by Lightning: modules, trainer, training, evaluation. Only this folder and the data module import Lightning."""
