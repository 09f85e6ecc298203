"""Command line → settings that are complete and right, before Hydra makes a folder; wrong ones → one line.

What has no file in ``configs`` comes from the schema: the defaults of every setting, backbones, losses.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf

from selfalign.commands.configs_folder import CONFIGS
from selfalign.commands.paths import expand_paths, how_to_type, quoted_paths
from selfalign.errors import UserError
from selfalign.settings import (
    BACKBONES,
    LOSS_TERMS,
    OPTIMIZERS,
    RANKING_LOSSES,
    SCHEDULES,
    Evaluation,
    TrainingRun,
    checked,
    defaults,
)
from selfalign.settings.choices import of_chosen_rows
from selfalign.settings.nearest import no_such_option

SCHEMAS: dict[str, type] = {"train": TrainingRun, "eval": Evaluation}
_OPTIONS = {"loss.ranking": "loss/ranking"}
"""Settings whose values are names of options, and the groups that hold these."""
_SEVERAL = ("logger", "callbacks")
"""Groups of which several options may be chosen at once."""


def store_schema() -> None:
    """Make what the schema knows available to ``configs``: defaults of each program, and a group an axis."""
    store = ConfigStore.instance()
    for program, schema in SCHEMAS.items():
        store.store(f"{program}_defaults", defaults(schema))
    for axis in (RANKING_LOSSES, OPTIMIZERS, SCHEDULES):
        for row in axis:
            values = {"name": row.name, **defaults(row.settings)}
            store.store(row.name, values, axis.key.replace(".", "/"), axis.key)
    for backbone in BACKBONES:
        terms = {term.name: defaults(term.settings) for term in LOSS_TERMS if term.name in backbone.losses}
        node: dict[str, Any] = {"backbone": {"name": backbone.name, **defaults(backbone.settings)}, "loss": terms}
        _merge(node, nested(backbone.defaults))
        if backbone.options:
            node["defaults"] = ["_self_", *({f"override /{group}": name} for group, name in backbone.options.items())]
        store.store(backbone.name, node, "backbone", "_global_")
        for data, differing in backbone.published.items():
            for recipe in ("default", "published"):
                store.store(f"{recipe}_{backbone.name}_{data}", nested(differing), "recipe/of", "_global_")


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted key as settings within groups."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        _put(found, key, value)
    return found


def _put(settings: dict[str, Any], key: str, value: Any) -> None:
    *groups, last = key.split(".")
    for group in groups:
        inner = settings.get(group)
        settings[group] = settings = inner if isinstance(inner, dict) else {}
    settings[last] = value


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = value


def plain(config: DictConfig, program: str, settings: Sequence[str], **found: Any) -> dict[str, Any]:
    """A composed configuration as plain values, complete and checked.

    Args:
        config: composed.
        program: ``train`` or ``eval``.
        settings: as typed.
        found: values in their places.

    Raises:
        UserError: naming the setting that is wrong.
    """
    own = OmegaConf.masked_copy(config, [str(name) for name in config if name not in (*found, "hydra")])
    values = OmegaConf.to_container(own, resolve=True)
    if not isinstance(values, dict):
        raise UserError("configuration: expected named settings")
    named = of_chosen_rows({str(name): value for name, value in values.items()}, _keys(settings)) | found
    complete = checked(named, SCHEMAS[program])
    expand_paths(complete)
    return complete


def _keys(settings: Sequence[str]) -> list[str]:
    return [line.partition("=")[0].lstrip("+") for line in settings]


def composed(settings: Sequence[str], program: str = "train") -> dict[str, Any]:
    """A program's configuration with ``settings`` as on its command line; no folder is made.

    Raises:
        UserError: naming the setting that is wrong.
    """
    with _hydra():
        return plain(_composed(program, _typed(quoted_paths(settings))), program, settings)


def prepared(arguments: Sequence[str], program: str) -> list[str]:
    """A command line whose every setting is right, of every job of a sweep, spelt as Hydra takes it.

    Args:
        arguments: as typed.
        program: ``train`` or ``eval``.

    Raises:
        UserError: naming the first setting that is wrong, before any folder is made.
    """
    options, unknown = get_args_parser().parse_known_args(list(arguments))
    asks = options.help or options.hydra_help or options.info or options.shell_completion or options.experimental_rerun
    if asks or unknown:
        return list(arguments)  # Hydra's own business
    with _hydra(options.config_path, options.config_dir):
        typed = _typed(options.overrides)
        name = options.config_name or program
        first = _first(typed, multirun=options.multirun)
        job = _composed(name, first)
        values = plain(job, program, options.overrides)
        for number, other in _alternatives(typed):
            changed = [*first[:number], other, *first[number + 1 :]]
            if _is_group(other):
                plain(_composed(name, changed), program, options.overrides)
            else:
                checked(_changed(values, other), SCHEMAS[program])
        bases = [_composed(name, chosen) for chosen in _chosen_groups(typed, first)]
        spelt = {before: _spelt(override, bases) for before, override in zip(options.overrides, typed, strict=True)}
    return [spelt.get(argument, argument) for argument in arguments]


@contextlib.contextmanager
def composed_as_typed(options: Any, program: str) -> Iterator[DictConfig]:
    """The configuration that Hydra composes of a command line, unchecked, with Hydra still at hand.

    Args:
        options: the command line as Hydra's parser reads it.
        program: ``train`` or ``eval``.

    Raises:
        UserError: naming a setting that cannot be composed.
    """
    with _hydra(options.config_path, options.config_dir):
        yield _composed(options.config_name or program, _first(_typed(options.overrides), multirun=options.multirun))


@contextlib.contextmanager
def _hydra(config_path: str | None = None, config_dir: str | None = None) -> Iterator[None]:
    """Hydra over ``configs``, or the folders of ``--config-path`` and ``--config-dir``."""
    store_schema()
    folder = CONFIGS if config_path is None else Path(config_path).resolve()
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(folder), version_base="1.3"):
        if config_dir is not None:
            search = create_config_search_path(str(folder))
            search.prepend("command-line", f"file://{Path(config_dir).resolve()}", "schema")
            GlobalHydra.instance().clear()
            Hydra.create_main_hydra2("selfalign", search)
        yield


def _composed(name: str, overrides: Sequence[Override]) -> DictConfig:
    lines = [_forced(override) for override in overrides]
    try:
        return hydra.compose(name, lines)
    except MissingConfigException as error:
        raise _missing_option(error) from error


def _typed(settings: Sequence[str]) -> list[Override]:
    """Settings as Hydra reads them; ``loss.ranking=NAME`` is the option of that name."""
    try:
        found = OverridesParser.create().parse_overrides(list(settings))
    except OverrideParseException as error:
        raise UserError(how_to_type(error.override)) from error
    for override in found:
        group = _OPTIONS.get(override.key_or_group)
        if group is not None and not isinstance(override.value(), dict | type(None)):
            override.key_or_group = group
        _require_option(override)
    return found


def _require_option(override: Override) -> None:
    """Refuse what is no name of an option where one is meant; Hydra's own words for it are about its inside."""
    if not _is_group(override) or _is_hydra(override) or override.is_delete() or override.is_sweep_override():
        return
    key, value = override.key_or_group, override.value()
    options = _options(key)
    names = value if isinstance(value, list) and key in _SEVERAL else [value]
    for name in names:
        if name is not None and name not in options:
            raise no_such_option(key.replace("/", "."), name, options)


def _options(group: str) -> list[str]:
    loader = GlobalHydra.instance().config_loader()
    return list(loader.repository.get_group_options(group))  # type: ignore[attr-defined]  # its own method copies all


def _is_group(override: Override) -> bool:
    return not isinstance(override.value(), dict) and bool(_options(override.key_or_group))


def _is_hydra(override: Override) -> bool:
    return override.key_or_group.partition(".")[0].partition("/")[0] == "hydra"


def _line(override: Override, sign: str = "") -> str:
    package = "" if override.package is None else f"@{override.package}"
    return f"{sign}{override.key_or_group}{package}={str(override.input_line).partition('=')[2]}"


def _forced(override: Override) -> str:
    """A setting that Hydra takes whether it knows the key or not: the schema knows it better."""
    if override.is_delete() or _is_hydra(override) or _is_group(override):
        return str(override.input_line) if override.is_delete() else _line(override, "+" if override.is_add() else "")
    return _line(override, "++")


def _chosen_groups(typed: Sequence[Override], first: Sequence[Override]) -> Iterator[list[Override]]:
    """The choices of groups, without single settings, of a sweep's first job and of each job that varies one group."""
    places = [number for number, override in enumerate(first) if override.is_delete() or _is_group(override)]
    yield [first[number] for number in places]
    for number, other in _alternatives(typed):
        if _is_group(other):
            yield [other if place == number else first[place] for place in places]


def _spelt(override: Override, bases: Sequence[DictConfig]) -> str:
    """A setting as Hydra takes it; a key that files leave to the schema, or of a logger, has to be forced upon it."""
    if override.is_delete() or _is_hydra(override) or _is_group(override):
        return str(override.input_line) if override.is_delete() else _line(override, "+" if override.is_add() else "")
    group, _, name = override.key_or_group.rpartition(".")
    places = [OmegaConf.select(base, group) if group else base for base in bases]
    return _line(override, "" if all(isinstance(place, DictConfig) and name in place for place in places) else "++")


def _first(overrides: Sequence[Override], *, multirun: bool) -> list[Override]:
    """The settings of a sweep's first job.

    Raises:
        UserError: if several values are given and it is no sweep.
    """
    found = []
    for override in overrides:
        if override.is_sweep_override() and not multirun:
            line = override.input_line
            raise UserError(f"{line}: several values are a sweep, which needs -m; a list is written [a,b]")
        found.append(next(_values(override), override))
    return found


def _values(override: Override) -> Iterator[Override]:
    """A setting with each value that a sweep gives it; none for what only a search or Hydra's loader knows."""
    if not override.is_sweep_override():
        yield override
    elif override.is_discrete_sweep():
        for value in override.sweep_string_iterator():
            yield OverridesParser.create().parse_override(f"{override.key_or_group}={value}")
    elif override.is_interval_sweep():
        start = override.value().start  # type: ignore[union-attr]
        yield OverridesParser.create().parse_override(f"{override.key_or_group}={start}")


def _alternatives(overrides: Sequence[Override]) -> Iterator[tuple[int, Override]]:
    """What a sweep varies, one setting at a time."""
    for number, override in enumerate(overrides):
        yield from ((number, other) for other in itertools.islice(_values(override), 1, None))


def _changed(values: dict[str, Any], override: Override) -> dict[str, Any]:
    changed = copy.deepcopy(values)
    _put(changed, override.key_or_group, override.value())
    return changed


def _missing_option(error: MissingConfigException) -> UserError:
    group, _, name = (error.missing_cfg_file or "").rpartition("/")
    if not error.options:
        return UserError(" ".join(str(error).split()))
    return no_such_option(group.replace("/", "."), name, list(error.options))
