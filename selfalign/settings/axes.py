"""Axes of the design, a table each: one row says what a backbone, a loss, a metric is and which settings it has.

A row names what it builds by a dotted path, which is imported only when it is built: settings cost no torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from selfalign.settings.nearest import no_such_option


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
        module, _, name = self.builds.partition(":")
        return getattr(importlib.import_module(module), name)


@dataclass(frozen=True, kw_only=True)
class LossRow(Row):
    """A loss.

    Attributes:
        reads: what it takes of a training step, in the order of its arguments.
        only_with: backbones that it is for; empty for all of them.
    """

    reads: tuple[str, ...]
    only_with: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BackboneRow(Row):
    """A network of two towers.

    Attributes:
        tokenizer: what makes tokens of its captions, ``words`` or ``word_pieces``.
        boxes: it needs the boxes of the regions.
        losses: the losses that are its own.
        defaults: its published settings outside of its own group, by dotted key.
        published: those that differ on a data set, by its name in ``configs/data``.
        options: of other groups of ``configs`` where none are named, as ``{"loss": "infonce"}``.
    """

    tokenizer: str
    boxes: bool
    losses: tuple[str, ...] = ()
    defaults: Mapping[str, Any]
    published: Mapping[str, Mapping[str, Any]]
    options: Mapping[str, str] = field(default_factory=dict)


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

    def forget(self, name: str) -> None:
        """Take a row out again, as after a test that registered it."""
        del self._rows[name]


_AXES: dict[str, Axis[Any]] = {}
BACKBONES = Axis("backbone", BackboneRow)
RANKING_LOSSES = Axis("loss.ranking", LossRow)
LOSS_TERMS = Axis("loss", LossRow)
OPTIMIZERS = Axis("optimizer", Row)
SCHEDULES = Axis("scheduler", Row)
POOLINGS = Axis("pooling", Row)


def axis(key: str) -> Axis[Any]:
    """The axis of a setting."""
    return _AXES[key]


def axes() -> list[Axis[Any]]:
    """All of them."""
    return list(_AXES.values())
