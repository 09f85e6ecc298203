"""Scenes → pictures."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from selfalign.data.scenes.composition import COLOURS, SIDE, Scene, SceneObject

_SCALE = 3  # drawn larger and reduced: smooth edges
_BACKGROUNDS = {  # above and below the horizon
    "meadow": ((170, 210, 240), (120, 180, 90)),
    "beach": ((150, 205, 235), (225, 205, 150)),
    "night": ((25, 30, 60), (45, 50, 75)),
    "snow": ((195, 205, 215), (240, 243, 248)),
    "sea": ((185, 215, 235), (40, 110, 160)),
    "room": ((230, 215, 195), (165, 125, 95)),
}


def draw(scene: Scene, random: np.random.Generator) -> Image.Image:
    """An RGB picture of the scene, ``SIDE`` × ``SIDE`` pixels; ``random`` moves the horizon and adds grain."""
    side = SIDE * _SCALE
    above, below = _BACKGROUNDS[scene.place]
    picture = Image.new("RGB", (side, side), above)
    horizon = int(side * random.uniform(0.3, 0.7))
    ImageDraw.Draw(picture).rectangle((0, horizon, side, side), fill=below)
    for thing in scene.objects:
        _draw_object(picture, thing)
    small = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)
    grained = small + random.normal(0, 4, small.shape)
    return Image.fromarray(grained.clip(0, 255).astype(np.uint8))


def _draw_object(picture: Image.Image, thing: SceneObject) -> None:
    left, top, right, bottom = (value * _SCALE for value in thing.box)
    side = right - left
    mask = Image.new("L", (side, bottom - top), 0)
    _outline(ImageDraw.Draw(mask), thing.shape, side)
    picture.paste(_surface(thing, side), (left, top), mask)


def _surface(thing: SceneObject, side: int) -> Image.Image:
    """A square of the object's colour and texture; patterns are lighter, or darker on light colours."""
    colour = COLOURS[thing.colour]
    surface = Image.new("RGB", (side, side), colour)
    light = sum(colour) > 480
    second = tuple(int(value * 0.45) if light else int(value + (255 - value) * 0.65) for value in colour)
    brush = ImageDraw.Draw(surface)
    step = 4 * _SCALE
    if thing.texture == "striped":
        for start in range(-side, side, 2 * step):
            brush.polygon([(start, side), (start + step, side), (start + step + side, 0), (start + side, 0)], second)
    elif thing.texture == "dotted":
        for row, y in enumerate(range(0, side, 2 * step)):
            for x in range((row % 2) * step, side, 2 * step):
                brush.ellipse((x, y, x + step, y + step), fill=second)
    elif thing.texture == "checked":
        for row, y in enumerate(range(0, side, step)):
            for x in range((row % 2) * step, side, 2 * step):
                brush.rectangle((x, y, x + step - 1, y + step - 1), fill=second)
    return surface


def _outline(brush: ImageDraw.ImageDraw, shape: str, side: int) -> None:
    """Fill the shape on a mask of ``side`` × ``side`` pixels; every shape touches all four sides or nearly."""
    last = side - 1
    middle = last / 2
    if shape == "circle":
        brush.ellipse((0, 0, last, last), fill=255)
    elif shape == "ring":
        brush.ellipse((0, 0, last, last), fill=255)
        brush.ellipse((last * 0.3, last * 0.3, last * 0.7, last * 0.7), fill=0)
    elif shape == "crescent":
        brush.ellipse((0, 0, last, last), fill=255)
        brush.ellipse((last * 0.35, -last * 0.08, last * 1.2, last * 0.77), fill=0)
    elif shape == "heart":
        brush.ellipse((0, 0, middle, last * 0.55), fill=255)
        brush.ellipse((middle, 0, last, last * 0.55), fill=255)
        brush.polygon([(last * 0.03, last * 0.38), (last * 0.97, last * 0.38), (middle, last)], fill=255)
    else:
        brush.polygon([(x * last, y * last) for x, y in _corners(shape)], fill=255)


def _corners(shape: str) -> list[tuple[float, float]]:
    """Corners of a polygon in the unit square."""
    if shape == "square":
        return [(0, 0), (1, 0), (1, 1), (0, 1)]
    if shape == "triangle":
        return [(0.5, 0), (1, 1), (0, 1)]
    if shape == "diamond":
        return [(0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5)]
    if shape == "hexagon":
        return [(0.25, 0), (0.75, 0), (1, 0.5), (0.75, 1), (0.25, 1), (0, 0.5)]
    if shape == "cross":
        low, high = 0.33, 0.67
        return [
            *((low, 0), (high, 0), (high, low), (1, low), (1, high), (high, high)),
            *((high, 1), (low, 1), (low, high), (0, high), (0, low), (low, low)),
        ]
    if shape == "star":
        radii = (0.52, 0.22)
        angles = (-math.pi / 2 + index * math.pi / 5 for index in range(10))
        return [
            (0.5 + radii[index % 2] * math.cos(angle), 0.52 + radii[index % 2] * math.sin(angle))
            for index, angle in enumerate(angles)
        ]
    raise ValueError(f"shape: expected one of composition.SHAPES, got {shape!r}")
