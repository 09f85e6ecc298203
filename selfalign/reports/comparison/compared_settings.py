"""Runs that differ in nothing but their seed are one setting; settings get names that say what tells them apart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from selfalign.errors import UserError
from selfalign.reports.leaderboard.leaderboard_table import short_key, short_value
from selfalign.reports.leaderboard.standings import NOT_GIVEN, flat
from selfalign.runs.labels import loss_name, named_terms
from selfalign.runs.reading import Run
from selfalign.settings import is_in_name, matters

_TOLD = 4
"""Settings that a name tells at most, but for what tells it from others of its short name."""


@dataclass(frozen=True, eq=False)
class ComparedSetting:
    """Runs of one setting, one a seed, under one protocol.

    Attributes:
        name: backbone and loss, and what else tells it from the other settings of the same backbone.
        runs: at least one.
        keys: every key of its configuration that matters, by dotted name.
        hits: (K, N, 6) float64, of K seeds.
        shares: of each other figure that is a mean over queries (K, N) float64.
        figures: of every run.
    """

    name: str
    runs: tuple[Run, ...]
    keys: Mapping[str, str]
    hits: np.ndarray
    shares: Mapping[str, np.ndarray]
    figures: tuple[Mapping[str, float], ...]

    @property
    def seeds(self) -> str:
        """How many, in words."""
        return "1 seed" if len(self.runs) == 1 else f"{len(self.runs)} seeds"


def model_name(model: Mapping[str, Any]) -> str:
    """Backbone and loss of a configuration, as ``camera selfalign``."""
    try:
        return f"{model['backbone']['name']} {loss_name(model['loss'])}"
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"configuration: names no backbone and loss ({type(error).__name__}: {error})") from error


def model_keys(model: Mapping[str, Any]) -> dict[str, str]:
    """The values of a configuration that can matter, by dotted key; 1 and 1.0 are one value."""
    return {key: _text(value) for key, value in flat(dict(model)).items() if matters(key)}


def _text(value: Any) -> str:
    if value is None:
        return NOT_GIVEN
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def group(runs: Sequence[Run], protocol: str) -> list[ComparedSetting]:
    """Settings in the order of their first runs.

    Raises:
        UserError: if the runs are of different queries, or two are of one setting and seed.
    """
    _require_same_queries(runs)
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(json.dumps(_keys(run), sort_keys=True), []).append(run)
    for members in groups.values():
        require_distinct_seeds(members)
    rows = list(groups.values())
    names = _names([(_base_name(members[0]), _keys(members[0])) for members in rows])
    return [
        ComparedSetting(
            name,
            tuple(members),
            _keys(members[0]),
            np.stack([run.protocols[protocol].hits for run in members]).astype(np.float64),
            {
                name: np.stack([run.protocols[protocol].shares[name] for run in members])
                for name in members[0].protocols[protocol].shares
            },
            tuple(run.protocols[protocol].figures for run in members),
        )
        for name, members in zip(names, rows, strict=True)
    ]


def shared_protocol(runs: Sequence[Run], wanted: str | None) -> str:
    """The protocol to compare under: the wanted one, or the first that all runs were evaluated under.

    Raises:
        UserError: if there is none.
    """
    for run in runs:
        if wanted is not None and wanted not in run.protocols:
            raise UserError(f"run {run.folder}: not evaluated under {wanted}, only under {', '.join(run.protocols)}")
    if wanted is not None:
        return wanted
    shared = [name for name in runs[0].protocols if all(name in run.protocols for run in runs)]
    if not shared:
        sets = [f"{run.folder} under {', '.join(run.protocols)}" for run in runs if run.protocols.keys()]
        raise UserError(f"the runs share no protocol: {sets[0]}, {sets[-1]}; figures of two protocols do not compare")
    return shared[0]


def differences(one: ComparedSetting, other: ComparedSetting) -> list[str]:
    """What the configurations of two settings differ in, as ``key: other's value → one's value``."""
    backbones = one.keys.get("backbone.name") == other.keys.get("backbone.name")
    keys = dict.fromkeys([*other.keys, *one.keys])
    if not backbones:  # what belongs to one of two networks says nothing
        keys = dict.fromkeys(key for key in keys if key in one.keys and key in other.keys)
    return [
        f"{key}: {other.keys.get(key, NOT_GIVEN)} → {one.keys.get(key, NOT_GIVEN)}"
        for key in keys
        if one.keys.get(key) != other.keys.get(key)
    ]


def _require_same_queries(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs:
        if run.queries != first.queries:
            sizes = [f"{len(one.captions_per_image):,} images" for one in (first, run)]
            raise UserError(
                f"run {run.folder}: evaluated on other captions ({run.split}, {sizes[1]}) than {first.folder} "
                f"({first.split}, {sizes[0]}); only runs on the same queries compare"
            )


def require_distinct_seeds(runs: Sequence[Run]) -> None:
    """Refuse two runs of one setting and seed.

    Raises:
        UserError: naming both.
    """
    seen: dict[str, Run] = {}
    for run in runs:
        seeds = str(run.seeds)
        if seeds in seen:
            raise UserError(
                f"runs {seen[seeds].folder} and {run.folder}: the same setting and seed {run.seeds[0]}; "
                "a copy is no second seed, so pass one of them"
            )
        seen[seeds] = run


def _keys(run: Run) -> dict[str, str]:
    """What makes the setting of a run."""
    models = [model_keys(model) for model in run.models]
    alike = all(model == models[0] for model in models)
    keys = dict(models[0])
    if len(models) > 1:
        keys["ensemble"] = str(len(models))
        if not alike:
            keys = {f"{place}.{key}": value for place, model in enumerate(models, 1) for key, value in model.items()}
            keys["backbone.name"] = "+".join(str(model.get("backbone.name")) for model in models)
    if any(model.get("padding") != run.padding for model in models):
        keys["evaluation padding"] = run.padding
    return keys


def _base_name(run: Run) -> str:
    names = dict.fromkeys(map(model_name, run.models))
    return (f"ensemble of {len(run.models)} " if len(run.models) > 1 else "") + " + ".join(names)


def _names(rows: Sequence[tuple[str, Mapping[str, str]]]) -> list[str]:
    """Short names, and what else differs among the settings of one backbone: it must not hide behind a short name.

    Where that is much, as between recipes, the name says how much; what tells it from others of its short name stays.
    """
    names = []
    for base, keys in rows:
        alike = [other for _, other in rows if other.get("backbone.name") == keys.get("backbone.name")]
        telling = _telling(alike)
        told = telling
        if len(telling) > _TOLD:
            told = _telling([other for name, other in rows if name == base])
        words = [
            f"{short_key(key, telling)}={short_value(_untold(keys, key))}"
            for key in told
            if _untold(keys, key) and (key in keys or not _of_one_choice(key, alike))
        ]
        further = len(telling) - len(told)
        names.append(" ".join([base, *words, *([f"(+{further} settings)"] if further else [])]))
    return names


def _telling(settings: Sequence[Mapping[str, str]]) -> list[str]:
    """The keys in which some differ, but for those that short names tell."""
    every = dict.fromkeys(key for keys in settings for key in keys if not is_in_name(key))
    return [
        key
        for key in every
        if len({_untold(keys, key) for keys in settings if key in keys or not _of_one_choice(key, settings)}) > 1
    ]


def _of_one_choice(key: str, settings: Sequence[Mapping[str, str]]) -> bool:
    """Whether a key is of something that not all have chosen, as a margin of one ranking loss."""
    name = f"{key.rpartition('.')[0]}.name"
    return len({keys.get(name) for keys in settings}) > 1


def _untold(keys: Mapping[str, str], key: str) -> str:
    """A value that the short name does not tell; weights 0 and 1 are what the loss is named after."""
    value = keys.get(key, NOT_GIVEN)
    named = key in (f"loss.{term}.weight" for term in named_terms())
    return "" if key == "ensemble" or (named and value in ("0", "1")) else value
