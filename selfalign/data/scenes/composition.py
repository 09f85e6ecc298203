"""What stands where in a scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SIDE = 128
"""Width and height of every picture, in pixels."""

COLOURS = {
    "red": (205, 40, 40),
    "orange": (240, 140, 30),
    "yellow": (235, 215, 60),
    "green": (50, 150, 60),
    "blue": (45, 85, 200),
    "purple": (130, 60, 170),
    "pink": (240, 150, 190),
    "brown": (120, 75, 40),
    "black": (35, 35, 40),
    "grey": (140, 140, 145),
}
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "diamond", "hexagon", "heart", "crescent")
TEXTURES = ("plain", "striped", "dotted", "checked")
PLACES = ("meadow", "beach", "night", "snow", "sea", "room")
SIZES = {"small": (22, 29), "large": (38, 48)}

_MOST_COVERED = 0.12
_FEWEST, _MOST = 3, 5
_TRIES = 60


@dataclass(frozen=True)
class SceneObject:
    """One drawn object.

    Attributes:
        shape, colour, texture, size: words of this module's tables.
        box: x1, y1, x2, y2 in pixels.
    """

    shape: str
    colour: str
    texture: str
    size: str
    box: tuple[int, int, int, int]

    @property
    def centre(self) -> tuple[float, float]:
        """x, y of the box's middle."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


@dataclass(frozen=True)
class Scene:
    """A place and the objects in it, none hidden by another."""

    place: str
    objects: tuple[SceneObject, ...]


def compose(random: np.random.Generator) -> Scene:
    """A random scene of three to five objects."""
    place = PLACES[random.integers(len(PLACES))]
    wanted = random.integers(_FEWEST, _MOST, endpoint=True)
    objects: list[SceneObject] = []
    tries = 0
    while len(objects) < wanted and (tries < _TRIES or len(objects) < _FEWEST):
        candidate = _random_object(random)
        if all(_covered(candidate.box, other.box) <= _MOST_COVERED for other in objects):
            objects.append(candidate)
        tries += 1
    return Scene(place, tuple(objects))


def _random_object(random: np.random.Generator) -> SceneObject:
    size = list(SIZES)[random.integers(len(SIZES))]
    side = int(random.integers(*SIZES[size], endpoint=True))
    left, top = (int(value) for value in random.integers(2, SIDE - side - 2, size=2))
    return SceneObject(
        shape=SHAPES[random.integers(len(SHAPES))],
        colour=list(COLOURS)[random.integers(len(COLOURS))],
        texture=TEXTURES[random.choice(len(TEXTURES), p=(0.4, 0.2, 0.2, 0.2))],
        size=size,
        box=(left, top, left + side, top + side),
    )


def _covered(box: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """Share of the smaller box that lies in the other."""
    width = max(0, min(box[2], other[2]) - max(box[0], other[0]))
    height = max(0, min(box[3], other[3]) - max(box[1], other[1]))
    smaller = min((side[2] - side[0]) * (side[3] - side[1]) for side in (box, other))
    return width * height / smaller
