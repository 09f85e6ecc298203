"""``data=scenes``: pictures, boxes, features and captions made by the program; it knows which word means which box."""

from selfalign.data.scenes.writer import ensure_scenes, write_scenes

__all__ = ["ensure_scenes", "write_scenes"]
