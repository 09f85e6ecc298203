"""How far an extraction is, and how long it still takes."""

from __future__ import annotations

import time
from collections.abc import Callable

from tqdm import tqdm

_SECONDS_A_LINE = 60


class ExtractionProgress:
    """A bar at a terminal; in a log file a line a minute.

    Args:
        name: of what is done.
        count: of photographs in all.
        done: before now.
        report: takes the lines.
    """

    def __init__(self, name: str, count: int, done: int, report: Callable[[str], None]) -> None:
        self._bar = tqdm(total=count, initial=done, desc=name, unit=" photographs", disable=None)
        self._name, self._count, self._done, self._first, self._report = name, count, done, done, report
        self._start = self._said = time.monotonic()

    def step(self) -> None:
        """One photograph more."""
        self._done += 1
        self._bar.update()
        now = time.monotonic()
        if self._bar.disable and now - self._said >= _SECONDS_A_LINE:
            self._said = now
            left = (now - self._start) / (self._done - self._first) * (self._count - self._done)
            minutes = f"{left / 60:,.0f} min" if left >= 60 else f"{left:.0f} s"
            self._report(f"{self._name}: {self._done:,} of {self._count:,} photographs, {minutes} left")

    def close(self) -> None:
        """Leave the terminal's line."""
        self._bar.close()
