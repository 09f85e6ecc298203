"""Scenes → captions, with the objects that each noun can mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from selfalign.data.scenes.composition import Scene, SceneObject

NOUNS = {
    "circle": ("circle", "ball", "disc"),
    "square": ("square", "box", "block"),
    "triangle": ("triangle", "pyramid"),
    "star": ("star",),
    "cross": ("cross", "plus"),
    "ring": ("ring", "hoop"),
    "diamond": ("diamond", "kite"),
    "hexagon": ("hexagon", "nut"),
    "heart": ("heart",),
    "crescent": ("crescent", "moon"),
}
SIZE_WORDS = {"small": ("small", "little", "tiny"), "large": ("large", "big")}
TEXTURE_WORDS = {
    "plain": ("plain",),
    "striped": ("striped",),
    "dotted": ("dotted", "spotted"),
    "checked": ("checked",),
}
PLACE_WORDS = {
    "meadow": ("on the grass", "in a meadow"),
    "beach": ("on the sand", "at the beach"),
    "night": ("at night", "in the dark"),
    "snow": ("in the snow", "on a winter day"),
    "sea": ("on the sea", "over the water"),
    "room": ("in a room", "on the floor"),
}
NUMBERS = {3: "three", 4: "four", 5: "five"}
_NEAR = 20  # pixels by which one object must be further left or higher than another


@dataclass(frozen=True)
class Caption:
    """A caption and what its nouns mean.

    Attributes:
        text: lower-case words between single spaces.
        meanings: word index of each noun, and the objects of the scene that fit all that is said of it.
    """

    text: str
    meanings: tuple[tuple[int, tuple[SceneObject, ...]], ...]


class _Sentence:
    """Words so far, and the nouns among them."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.meanings: list[tuple[int, tuple[SceneObject, ...]]] = []

    def say(self, text: str) -> None:
        self.words += text.split()

    def name(self, thing: SceneObject, scene: Scene, random: np.random.Generator) -> None:
        """Name an object: a noun, its colour mostly, its size and texture sometimes."""
        said = {
            "size": random.random() < 0.5,
            "texture": random.random() < (0.1 if thing.texture == "plain" else 0.7),
            "colour": random.random() < 0.97,
        }
        adjectives = [
            *([_pick(SIZE_WORDS[thing.size], random)] if said["size"] else []),
            *([_pick(TEXTURE_WORDS[thing.texture], random)] if said["texture"] else []),
            *([thing.colour] if said["colour"] else []),
        ]
        words = [*adjectives, _pick(NOUNS[thing.shape], random)]
        self.say("an" if words[0][0] in "aeiou" else "a")
        self.words += words
        fitting = tuple(
            other
            for other in scene.objects
            if other.shape == thing.shape
            and all(getattr(other, name) == getattr(thing, name) for name, there in said.items() if there)
        )
        self.meanings.append((len(self.words) - 1, fitting))


def describe(scene: Scene, random: np.random.Generator) -> Caption:
    """One true caption that mentions some of the scene's objects."""
    order = random.permutation(len(scene.objects))
    first, second, third = (scene.objects[index] for index in order[:3])
    place = _pick(PLACE_WORDS[scene.place], random)
    sentence = _Sentence()
    form = random.choice(5, p=(0.25, 0.15, 0.45, 0.1, 0.05))
    if form == 0:
        sentence.name(first, scene, random)
        sentence.say(_pick(("is", "lies", "sits"), random) if random.random() < 0.6 else "")
        sentence.say(_relation(first, second, random))
        sentence.name(second, scene, random)
        sentence.say(place if random.random() < 0.3 else "")
    elif form == 1:
        sentence.name(first, scene, random)
        sentence.say(_pick(("and", "with"), random))
        sentence.name(second, scene, random)
        sentence.say(place)
    elif form == 2:
        sentence.say(_pick(("there is", "we see", "a picture of"), random))
        sentence.name(first, scene, random)
        sentence.say(",")
        sentence.name(second, scene, random)
        sentence.say("and")
        sentence.name(third, scene, random)
    elif form == 3:
        sentence.say(place)
        sentence.say("there is")
        sentence.name(first, scene, random)
        sentence.say(_relation(first, second, random))
        sentence.name(second, scene, random)
    else:
        sentence.say(f"{NUMBERS[len(scene.objects)]} things {place} ,")
        sentence.say(_pick(("one is", "among them"), random))
        sentence.name(first, scene, random)
    sentence.say(".")
    return Caption(" ".join(sentence.words), tuple(sentence.meanings))


def _relation(thing: SceneObject, other: SceneObject, random: np.random.Generator) -> str:
    """A true relation of two objects."""
    right, down = (mine - theirs for mine, theirs in zip(thing.centre, other.centre, strict=True))
    true = [
        *(["left of", "to the left of"] if right < -_NEAR else []),
        *(["right of", "to the right of"] if right > _NEAR else []),
        *(["above", "over"] if down < -_NEAR else []),
        *(["below", "under"] if down > _NEAR else []),
    ]
    return _pick(tuple(true) or ("near",), random)


def _pick(options: tuple[str, ...], random: np.random.Generator) -> str:
    return options[random.integers(len(options))]
