"""A run, by Lightning: modules, trainer, training, evaluation. Only this room and the data module import Lightning.

Commands use ``training``, ``evaluation`` and ``restoring``.
"""
