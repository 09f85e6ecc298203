"""Lines of callbacks, above the progress bar where there is one."""

from __future__ import annotations

import pytorch_lightning as pl

from selfalign.console import say
from selfalign.errors import visible


def tell(trainer: pl.Trainer, line: str) -> None:
    """One line from the first process, on terminals and in log files alike."""
    if not trainer.is_global_zero:
        return
    if trainer.progress_bar_callback is not None:
        trainer.progress_bar_callback.print(visible(line))
    else:
        say(line)
