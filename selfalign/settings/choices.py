"""Settings of rows that were not chosen: those of files have no effect, those that somebody typed are mistakes."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

from selfalign.settings.axes import axes
from selfalign.settings.checking import fields


def of_chosen_rows(values: Mapping[str, Any], typed: Collection[str]) -> dict[str, Any]:
    """Values less what files say of rows that are not chosen.

    A recipe may say how long the hinge warms up; a run with another ranking loss has no use for it.

    Args:
        values: settings in groups.
        typed: dotted keys of the command line; what stands there is checked, whatever row it is of.

    Example:
        >>> of_chosen_rows({"scheduler": {"name": "constant", "final_rate": 0.1}}, typed=())
        {'scheduler': {'name': 'constant'}}
    """
    found = copy.deepcopy(dict(values))
    for axis in axes():
        place = _place(found, axis.key)
        rows = {row.name: {field.name for field in fields(row.settings)} for row in axis}
        if not isinstance(place, dict) or place.get("name") not in rows:
            continue
        others = set().union(*rows.values()) - rows[place["name"]]
        for name in others & set(place):
            key = f"{axis.key}.{name}"
            if not any(one == key or one.startswith(f"{key}.") for one in typed):
                del place[name]
    return found


def _place(values: Any, key: str) -> Any:
    for name in key.split("."):
        values = values.get(name) if isinstance(values, dict) else None
    return values
