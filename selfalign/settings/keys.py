"""Every key of the schema by its dotted name, and what it says of runs: compared, resumed, published."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from selfalign.settings.axes import LOSS_TERMS, axis
from selfalign.settings.checking import Field, fields
from selfalign.settings.field import Rule
from selfalign.settings.programs import Evaluation, TrainingRun


def walk(schema: type, prefix: str = "") -> Iterator[tuple[str, Field]]:
    """Every setting and group by dotted key, those of all rows of an axis among them."""
    for field in fields(schema):
        key = f"{prefix}{field.name}"
        yield key, field
        if field.rule.axis is not None:
            for row in axis(field.rule.axis):
                yield from walk(row.settings, f"{key}.")
        elif field.group is not None:
            yield from walk(field.group, f"{key}.")
            if field.rule.group_for is not None:
                for term in LOSS_TERMS:
                    yield f"{key}.{term.name}", Field(term.name, term.settings, Rule(doc=term.doc), None)
                    yield from walk(term.settings, f"{key}.{term.name}.")


def every_key(schema: type = TrainingRun) -> list[str]:
    """Every dotted key that there is, of whatever row."""
    return list(dict.fromkeys(key for key, _ in walk(schema)))


def rules_of(key: str, schema: type = TrainingRun) -> list[Any]:
    """The rules of a key and of the groups around it, from the outside; none of an unknown one."""
    known = dict(walk(schema))
    parts = key.split(".")
    places = [".".join(parts[: count + 1]) for count in range(len(parts))]
    return [known[place].rule for place in places if place in known]


def paths() -> tuple[str, ...]:
    """The settings of all programs that name one file or folder."""
    every = [*walk(TrainingRun), *walk(Evaluation)]
    return tuple(dict.fromkeys(key for key, field in every if field.rule.path))


def matters(key: str) -> bool:
    """Whether another value of a key makes another setting; an unknown key does."""
    return all(rule.matters for rule in rules_of(key))


def is_published(key: str) -> bool:
    """Whether a run counts as the published one only with the published value of a key."""
    return all(rule.published for rule in rules_of(key))


def is_in_name(key: str) -> bool:
    """Whether the short name of a run tells the value of a key."""
    rules = rules_of(key.removesuffix(".name"))
    return bool(rules) and rules[-1].in_name


def resumable(schema: type = TrainingRun) -> list[str]:
    """The settings and groups that may differ where a run goes on."""
    found = [key for key, field in walk(schema) if field.rule.resumable]
    return [key for key in found if not any(key.startswith(f"{other}.") for other in found)]
