"""``train --help`` and ``eval --help``: what can be chosen, and every setting with its value.

Hydra's own page copies all configurations for each group that it lists, which takes seconds with as many as these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from omegaconf import OmegaConf

from selfalign.commands.composing import composed_as_typed

_HIDDEN = ("hydra", "recipe/of", "debug/size")
"""Groups that nobody chooses: Hydra's own, and what a recipe has of each backbone and data set."""


def help_page(arguments: Sequence[str], program: str) -> str | None:
    """The page, with the settings of the command line in place; ``None`` where nobody asks for it.

    Raises:
        UserError: naming the setting that cannot be composed.
    """
    options, unknown = get_args_parser().parse_known_args(list(arguments))
    if not options.help or unknown:
        return None
    with composed_as_typed(options, program) as config:
        groups = [f"{name}: {', '.join(choices)}" for name, choices in _groups("")]
        settings = OmegaConf.to_yaml(OmegaConf.masked_copy(config, [str(name) for name in config if name != "hydra"]))
    return "\n".join(
        [
            f"{program}: settings as group=option and group.key=value; --cfg job prints them alone",
            "",
            "== Groups (group=option) ==",
            *groups,
            "",
            "== Settings (group.key=value) ==",
            settings,
            f"selfalign {program} --hydra-help says what Hydra takes besides.",
        ]
    )


def _groups(parent: str) -> Iterator[tuple[str, list[str]]]:
    """Every group that can be chosen, with its options."""
    repository = GlobalHydra.instance().config_loader().repository  # type: ignore[attr-defined]
    for name in sorted(repository.get_group_options(parent, ObjectType.GROUP)):
        group = f"{parent}/{name}" if parent else name
        if group in _HIDDEN:
            continue
        if options := repository.get_group_options(group, ObjectType.CONFIG):
            yield group, sorted(options)
        yield from _groups(group)
