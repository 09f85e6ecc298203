"""What is typed: one file a command, listed in ``selfalign.__main__``. Only this room knows Hydra and OmegaConf.

Nothing imports from here.
"""
