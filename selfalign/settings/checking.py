"""Plain values against the schema: complete and typed afterwards, or one line that says what is wrong."""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Mapping
from typing import Any, get_args, get_origin, get_type_hints

from selfalign.errors import UserError
from selfalign.settings.axes import axes, axis
from selfalign.settings.field import REQUIRED, Rule
from selfalign.settings.nearest import nearest
from selfalign.settings.values import WrongTypeError, converted, described

MISSING = "???"
"""OmegaConf's sign for a value that has to be given."""


@dataclasses.dataclass(frozen=True)
class Field:
    """A setting of a dataclass.

    Attributes:
        name: of the setting, without that of its group.
        kind: its annotation.
        rule: what else is known of it.
        default: its value where none is given.
    """

    name: str
    kind: Any
    rule: Rule
    default: Any

    @property
    def group(self) -> type | None:
        """The dataclass of a group; ``None`` for a single value."""
        kinds = get_args(self.kind) if get_origin(self.kind) is types.UnionType else (self.kind,)
        return next((kind for kind in kinds if dataclasses.is_dataclass(kind) and isinstance(kind, type)), None)

    @property
    def may_be_absent(self) -> bool:
        """Whether the group may be ``None``."""
        return get_origin(self.kind) is types.UnionType


@functools.cache
def fields(schema: type) -> tuple[Field, ...]:
    """The settings of a dataclass."""
    kinds = get_type_hints(schema)
    found = []
    for field in dataclasses.fields(schema):
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        found.append(Field(field.name, kinds[field.name], field.metadata["rule"], default))
    return tuple(found)


@dataclasses.dataclass(frozen=True)
class _Mode:
    """How strict a check is.

    Attributes:
        record: the values are of a run that was: what older versions did not know is filled in as they behaved.
        partial: every setting may be ``None``.
        blank: a setting that has to be given may be missing, as in defaults.
    """

    record: bool = False
    partial: bool = False
    blank: bool = False


def checked(values: Mapping[str, Any], schema: type, *, record: bool = False) -> dict[str, Any]:
    """Values that are complete and of the right types.

    Args:
        values: plain ones; what is missing is filled in with its default.
        schema: a dataclass of settings.
        record: they are of a checkpoint or a run folder: what its version did not know keeps its behaviour.

    Raises:
        UserError: in one line: the key, what was expected, what was there.
    """
    return _group(values, schema, "", _Mode(record=record))


def defaults(schema: type) -> dict[str, Any]:
    """The default of every setting, :data:`MISSING` where it has to be given; axes, which have rows, are left out."""
    return {field.name: _default(field, field.name) for field in fields(schema) if field.rule.axis is None}


def _default(field: Field, key: str) -> Any:
    if field.rule.table:
        return {}
    if field.group is None:
        return MISSING if field.default is REQUIRED else field.default
    if field.rule.partial:
        return {one.name: None for one in fields(field.group)}
    return None if field.may_be_absent else defaults(field.group)


def _group(values: Any, schema: type, where: str, mode: _Mode) -> dict[str, Any]:
    known = fields(schema)
    names = [field.name for field in known]
    if not isinstance(values, Mapping):
        raise UserError(f"{where}: expected settings ({', '.join(names)}), got {_shown(values)}")
    prefix = f"{where}." if where else ""
    for name in values:
        if name not in names:
            raise _unknown(f"{prefix}{name}", values[name], [f"{prefix}{other}" for other in names])
    found: dict[str, Any] = {}
    for field in known:
        found[field.name] = _value(values, field, prefix, mode)
    _require_consistent(schema, found, prefix, mode)
    return found


def _value(values: Mapping[str, Any], field: Field, prefix: str, mode: _Mode) -> Any:
    key, rule = f"{prefix}{field.name}", field.rule
    given = values.get(field.name, REQUIRED)
    if isinstance(given, str) and given == MISSING:
        given = REQUIRED
    if given is REQUIRED and mode.record and rule.kept_behaviour:
        given = rule.older
    if mode.partial and (given is None or given is REQUIRED):
        return None
    if rule.axis is not None:
        return _row(field, given, key, mode)
    if rule.table:
        return _table(given, key)
    schema = rule.group_for(values) if rule.group_for is not None else field.group
    if schema is not None:
        if field.may_be_absent and (given is None or given is REQUIRED):
            return None
        inner = dataclasses.replace(mode, partial=mode.partial or rule.partial)
        return _group({} if given is REQUIRED else given, schema, key, inner)
    return _single(given, field, key, mode)


def _single(given: Any, field: Field, key: str, mode: _Mode) -> Any:
    if given is REQUIRED:
        given = field.default
    if given is REQUIRED:
        words = field.rule.ask or f"expected {described(field.kind, field.rule)}, got nothing; give {key}=VALUE"
        raise UserError(f"{key}: {words}")
    if given is None and mode.record and field.rule.may_be_unknown:
        return None
    try:
        return converted(given, field.kind, field.rule)
    except WrongTypeError:
        unit = f" ({field.rule.unit})" if field.rule.unit else ""
        raise UserError(f"{key}: expected {described(field.kind, field.rule)}{unit}, got {_shown(given)}") from None


def _row(field: Field, given: Any, key: str, mode: _Mode) -> Any:
    """The settings of a row, its name first; a name alone stands for the row's defaults."""
    table = axis(str(field.rule.axis))
    if given is None and field.default is None:
        return None
    if given is REQUIRED:
        given = {"name": field.default}
    if not isinstance(given, Mapping):
        given = {"name": given}
    name = given.get("name", field.default)
    row = table[name if name is not REQUIRED else None]
    rest = {key: value for key, value in given.items() if key != "name"}
    return {"name": row.name, **_group(rest, row.settings, key, mode)}


def _table(given: Any, key: str) -> dict[str, Any]:
    if given is REQUIRED or given is None:
        return {}
    if not isinstance(given, Mapping):
        raise UserError(f"{key}: expected named settings, got {_shown(given)}")
    return {str(name): value for name, value in given.items()}


def _require_consistent(schema: type, found: dict[str, Any], prefix: str, mode: _Mode) -> None:
    """What a dataclass itself says of values that are right alone and wrong together, in ``__post_init__``."""
    if mode.partial or not hasattr(schema, "__post_init__"):
        return
    try:
        schema(**found)
    except ValueError as error:
        raise UserError(f"{prefix}{error}") from error


def _unknown(key: str, value: Any, known: list[str]) -> UserError:
    """The error of a key that nothing reads, with the right key where one is near."""
    from selfalign.settings.keys import every_key

    every = every_key()
    choices = f"expected one of {', '.join(known)}"
    if key in every:
        return UserError(f"{key}: unknown setting here, it is of {' or '.join(_owners(key))}; {choices}")
    while isinstance(value, Mapping) and value:  # as it was typed
        name, value = next(iter(value.items()))
        key = f"{key}.{name}"
    guess = nearest(key, known) or nearest(key, every)
    return UserError(f"{key}: unknown setting; {f'did you mean {guess}?' if guess else choices}")


def _owners(key: str) -> list[str]:
    """The choices that a key is a setting of, as ``loss.ranking=hinge``."""
    found = [
        f"{table.key}={row.name}"
        for table in axes()
        for row in table
        if key.startswith(f"{table.key}.")
        and key.removeprefix(f"{table.key}.").partition(".")[0] in [field.name for field in fields(row.settings)]
    ]
    term = key.split(".")[1] if key.startswith("loss.") else ""
    return found or [f"backbone={row.name}" for row in axis("backbone") if term in row.losses] or ["another choice"]


def _shown(value: Any) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
