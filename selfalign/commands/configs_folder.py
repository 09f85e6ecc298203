"""Where the settings of ``configs/`` lie: at the top of a checkout, and inside the package once it is installed."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_PLACES = (_PACKAGE / "configs", _PACKAGE.parent / "configs")
CONFIGS = next((place for place in _PLACES if (place / "train.yaml").is_file()), _PLACES[0]).resolve()
