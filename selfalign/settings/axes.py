"""Axes of the design, a table each: one row says what a backbone, a loss, a metric is and which settings it has.

A row names what it builds by a dotted path, which is imported only when it is built: settings cost no torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from selfalign.settings.nearest import no_such_option


def imported(place: str) -> Any:
    """What ``module:name`` names."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


@dataclass(frozen=True, kw_only=True)
class Row:
    """What something is.

    Attributes:
        name: as in settings.
        settings: its dataclass of settings.
        builds: ``module:name`` of its class.
    """

    name: str
    settings: type
    builds: str

    @property
    def doc(self) -> str:
        """What it is, in one line."""
        return (self.settings.__doc__ or "").strip().partition("\n")[0]

    def load(self) -> Any:
        """Its class."""
        return imported(self.builds)


@dataclass(frozen=True, kw_only=True)
class LossRow(Row):
    """A loss.

    Attributes:
        reads: what it takes of a training step, in the order of its arguments.
        advice: what helps where it stays at the value that it has when all similarities are equal (its ``plateau``).
        own: it is there only for the backbones that name it among their losses.
    """

    reads: tuple[str, ...]
    advice: str = "a lower training.learning_rate helps"
    own: bool = False


@dataclass(frozen=True, kw_only=True)
class BackboneRow(Row):
    """A network of two towers.

    Attributes:
        tokenizer: what makes tokens of its captions, ``words`` or ``word_pieces``.
        boxes: it needs the boxes of the regions.
        module: ``module:name`` of its LightningModule, where it has one of its own name.
        losses: the losses that are its own.
        defaults: its published settings outside of its own group, by dotted key.
        published: those that differ on a data set, by its name in ``configs/data``.
    """

    tokenizer: str
    boxes: bool
    module: str = "selfalign.engine.modules.retrieval:RetrievalModule"
    losses: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    published: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.tokenizer not in ("words", "word_pieces"):
            raise ValueError(f"{self.name}: expected a tokenizer of words or word_pieces, got {self.tokenizer!r}")

    def load_module(self) -> Any:
        """Its LightningModule."""
        return imported(self.module)


AnyRow = TypeVar("AnyRow", bound=Row)


class Axis(Generic[AnyRow]):
    """Rows by name.

    Args:
        key: of the setting that chooses a row, as ``loss.ranking``.
        row: class of its rows.
    """

    def __init__(self, key: str, row: type[AnyRow]) -> None:
        self.key = key
        self._kind = row
        self._rows: dict[str, AnyRow] = {}
        _AXES[key] = self

    def __call__(self, name: str, **values: Any) -> Callable[[type], type]:
        """Decorate a dataclass of settings: it becomes the row ``name``.

        Args:
            name: as in settings.
            values: what the row says besides.
        """

        def register(settings: type) -> type:
            if name in self._rows:
                raise ValueError(f"{self.key}: {name} is registered already")
            self._rows[name] = self._kind(name=name, settings=settings, **values)
            return settings

        return register

    def __getitem__(self, name: Any) -> AnyRow:
        """The row of a name.

        Raises:
            UserError: naming the choices.
        """
        if not isinstance(name, str) or name not in self._rows:
            raise no_such_option(self.key, name, self._rows)
        return self._rows[name]

    def __iter__(self) -> Iterator[AnyRow]:
        return iter(tuple(self._rows.values()))

    @contextmanager
    def registered(self, name: str, settings: type, **values: Any) -> Iterator[AnyRow]:
        """A row for as long as the context lasts."""
        self(name, **values)(settings)
        try:
            yield self._rows[name]
        finally:
            del self._rows[name]


_AXES: dict[str, Axis[Any]] = {}
BACKBONES = Axis("backbone", BackboneRow)
RANKING_LOSSES = Axis("loss.ranking", LossRow)
LOSS_TERMS = Axis("loss", LossRow)
OPTIMIZERS = Axis("optimizer", Row)
SCHEDULES = Axis("scheduler", Row)


def axis(key: str) -> Axis[Any]:
    """The axis of a setting."""
    return _AXES[key]


def axes() -> list[Axis[Any]]:
    """All of them."""
    return list(_AXES.values())
