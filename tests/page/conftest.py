"""The models and pictures of the index's tests."""

from __future__ import annotations

from tests.gallery.conftest import camera, scenes, vsrn

__all__ = ["camera", "scenes", "vsrn"]
