"""Values as they come from a command line, a YAML file or a checkpoint → values of a setting's type."""

from __future__ import annotations

import math
import re
import types
from collections.abc import Callable
from typing import Any, Literal, Union, get_args, get_origin

from selfalign.settings.field import Rule

_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")
_WHOLE = re.compile(r"[+-]?\d+")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class WrongTypeError(ValueError):
    """A value that is of another type, out of bounds or none of the choices."""


def converted(value: Any, kind: Any, rule: Rule) -> Any:
    """A value as one of ``kind``, for example ``"no"`` as ``False`` where a ``bool`` is meant.

    Args:
        value: of any type.
        kind: an annotation of plain types, lists, ``Literal`` and unions of them.
        rule: bounds and choices.

    Raises:
        WrongTypeError: if it is none; nothing is rounded and nothing is guessed.
    """
    found = _of_kind(value, kind)
    values = found if isinstance(found, list) else [found]
    if any(isinstance(one, int | float) and not isinstance(one, bool) and not _within(one, rule) for one in values):
        raise WrongTypeError(value)
    if rule.one_of and any(one not in rule.one_of for one in values if one is not None):
        raise WrongTypeError(value)
    return found


def described(kind: Any, rule: Rule) -> str:
    """What a value has to be, in words, as ``a whole number of at least 1``."""
    if rule.one_of:
        one = f"one of {', '.join(map(str, rule.one_of))}"
        words = f"a list of {one}" if get_origin(kind) is list else one
    else:
        words = _words(kind, rule)
    return f"{words} or null" if _takes_none(kind) else words


def _of_kind(value: Any, kind: Any) -> Any:
    if get_origin(kind) in (Union, types.UnionType):
        return _of_union(value, get_args(kind))
    if get_origin(kind) is Literal:
        return _literal(value, get_args(kind))
    if get_origin(kind) is list:
        (item,) = get_args(kind)
        return [_of_kind(one, item) for one in (value if isinstance(value, list | tuple) else [value])]
    if kind is type(None):
        if value is not None:
            raise WrongTypeError(value)
        return None
    return _CONVERSIONS[kind](value)


def _of_union(value: Any, kinds: tuple[Any, ...]) -> Any:
    """The member of a union that a value already is, else the first one that it can be read as."""
    exact = [kind for kind in kinds if type(value) is (get_origin(kind) or kind)]
    single = [kind for kind in kinds if get_origin(kind) is not list]
    for kind in (*exact, *single, *kinds):
        try:
            return _of_kind(value, kind)
        except WrongTypeError:
            continue
    raise WrongTypeError(value)


def _literal(value: Any, choices: tuple[Any, ...]) -> Any:
    for choice in choices:
        if value == choice and type(value) is type(choice):
            return choice
    raise WrongTypeError(value)


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in (*_TRUE, *_FALSE):
        return value.lower() in _TRUE
    raise WrongTypeError(value)


def _int(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    raise WrongTypeError(value)


def _float(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value) and math.isfinite(float(value)):
        return float(value)
    raise WrongTypeError(value)


def _str(value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # a folder named 2017
    raise WrongTypeError(value)


_CONVERSIONS: dict[Any, Callable[[Any], Any]] = {bool: _bool, int: _int, float: _float, str: _str}
_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def _within(value: float, rule: Rule) -> bool:
    return (
        (rule.at_least is None or value >= rule.at_least)
        and (rule.above is None or value > rule.above)
        and (rule.at_most is None or value <= rule.at_most)
        and (rule.below is None or value < rule.below)
    )


def _words(kind: Any, rule: Rule) -> str:
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(_words(one, rule) for one in get_args(kind) if one is not type(None))
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}" if len(get_args(kind)) > 1 else repr(get_args(kind)[0])
    if get_origin(kind) is list:
        return f"a list, each {_words(get_args(kind)[0], rule)}"
    return _NAMES[kind] + (_bounds(rule) if kind in (int, float) else "")


def _bounds(rule: Rule) -> str:
    limits = (
        ("of at least", rule.at_least),
        ("above", rule.above),
        ("of at most", rule.at_most),
        ("below", rule.below),
    )
    said = [f"{word} {limit}" for word, limit in limits if limit is not None]
    return f" {' and '.join(said)}" if said else ""


def _takes_none(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType) and type(None) in get_args(kind)
