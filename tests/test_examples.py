"""Every example in a docstring of what rooms export is right, and what they export has one where it does something."""

from __future__ import annotations

import doctest
import importlib
import inspect

import pytest

ROOMS = ("functional", "losses", "metrics", "files")
MODULES = ("console", "errors", "reports.columns")
_SHAPED_BY_USE = {"Answers", "Hits", "DirectionResult", "RetrievalResult", "RealRows", "CrossModalRecall"}
"""Results of functions with examples, and what holds state over a whole pass."""
_PARTS = {"embedding_tile", "mean_tile", "joint_embeddings", "context_alignment", "open_regular", "whole_file"}
_MODULES = {"ConceptAlignmentLoss", "ContextAlignmentLoss", "DiversityLoss"}
"""Modules around functions that have the example."""


def exported() -> list[object]:
    rooms = [importlib.import_module(f"selfalign.{room}") for room in ROOMS]
    return [getattr(room, name) for room in rooms for name in room.__all__]


@pytest.mark.parametrize(
    "name",
    sorted(
        {f"selfalign.{name}" for name in MODULES}
        | {thing.__module__ for thing in exported() if inspect.isfunction(thing) or inspect.isclass(thing)}
    ),
)
def test_examples_are_right(name: str) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.testmod(importlib.import_module(name), optionflags=flags).failed == 0


def test_what_is_exported_has_an_example() -> None:
    callables = [thing for thing in exported() if inspect.isfunction(thing) or inspect.isclass(thing)]
    without = {thing.__name__ for thing in callables if ">>>" not in (thing.__doc__ or "")}
    assert without <= _SHAPED_BY_USE | _PARTS | _MODULES | {"write_whole"}
    assert len(callables) - len(without) >= 20


@pytest.mark.parametrize(
    "room",
    [
        "backbones",
        "commands",
        "data",
        "engine",
        "files",
        "functional",
        "gallery",
        "interop",
        "losses",
        "metrics",
        "page",
        "photographs",
        "processes",
        "reports",
        "runs",
        "settings",
    ],
)
def test_every_room_says_what_lives_there_in_two_sentences(room: str) -> None:
    words = importlib.import_module(f"selfalign.{room}").__doc__ or ""
    assert words.count(". ") + words.count(".\n") + words.rstrip().endswith(".") + words.count(": ") >= 2
