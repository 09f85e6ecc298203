"""What all tests of the engine do without."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from selfalign.engine import training


@pytest.fixture(autouse=True, scope="module")
def _no_chart() -> Iterator[None]:
    """The chart at a run's end takes as long as all of its steps; end_to_end and reports look at it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "save_curves", lambda metrics, path: None)
        yield
