"""What a run is called: by its own record. What was typed counts only where the record does not say otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from selfalign.settings import LOSS_TERMS, RANKING_LOSSES

LOSSES = {  # towers, concept alignment, context alignment
    ("original", False, False): "baseline",
    ("selfalign", True, True): "selfalign",
    ("selfalign", True, False): "concept",
    ("selfalign", False, True): "context",
    ("selfalign", False, False): "baseline towers=selfalign",
}
"""Names of ``configs/loss`` by what they build."""
_ALIGNMENTS = ("concept", "context")


def loss_name(loss: Mapping[str, Any]) -> str:
    """The name of a loss group by its ranking loss, its terms and its towers, as ``selfalign`` or ``infonce+words``.

    Raises:
        KeyError, TypeError, ValueError: if it is none.
    """
    ranking = loss.get("ranking", {}).get("name", published_ranking())
    used = [term for term in named_terms() if float(loss.get(term, {}).get("weight", 0)) > 0]
    further = [term for term in used if term not in _ALIGNMENTS]
    aligned = [term for term in _ALIGNMENTS if term in used]
    if ranking == published_ranking() and not further:
        known = LOSSES.get((loss["towers"], *(term in aligned for term in _ALIGNMENTS)))
        return known or f"{'+'.join(aligned)} towers={loss['towers']}"
    start = ["selfalign"] if len(aligned) == len(_ALIGNMENTS) else aligned
    name = "+".join([*([] if ranking == published_ranking() else [ranking]), *start, *further])
    return name if loss["towers"] == "selfalign" else f"{name} towers={loss['towers']}"


def published_ranking() -> str:
    """The ranking loss that names of runs do not tell: the published one, the first row of its table."""
    return next(iter(RANKING_LOSSES)).name


def named_terms() -> list[str]:
    """The terms of a loss that its name tells: all but those that belong to a backbone."""
    return [row.name for row in LOSS_TERMS if not row.own]


def recorded(overrides: Mapping[str, str], config: Mapping[str, Any] | None) -> dict[str, str]:
    """Settings as they were typed, corrected where the configuration that the run had says otherwise.

    Args:
        overrides: by key, as typed.
        config: of the run; ``None`` where it is not known.
    """
    if config is None:
        return dict(overrides)
    return {key: _recorded(key, text, overrides, config) for key, text in overrides.items()}


def _recorded(key: str, text: str, overrides: Mapping[str, str], config: Mapping[str, Any]) -> str:
    value: Any = config
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return text  # a group, or a file of settings: nothing in the record is called so
        value = value[part]
    if key == "backbone" and isinstance(value, Mapping):
        value = value.get("name", text)
    elif key == "loss" and isinstance(value, Mapping):
        value = _loss(text, value, overrides)
    elif isinstance(value, Mapping | list):
        return text
    return text if _same(text, value) else str(value)


def _loss(text: str, loss: Mapping[str, Any], overrides: Mapping[str, str]) -> str:
    """The name of a loss group that was chosen, unless single settings of it were typed too: those rename it."""
    if text not in LOSSES.values() or any(key.startswith("loss.") for key in overrides):
        return text
    try:
        return loss_name(loss)
    except (KeyError, TypeError, ValueError):
        return text


def _same(text: str, value: Any) -> bool:
    if text == str(value):
        return True
    try:
        typed = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return "'" in text or '"' in text  # Hydra's quotes; the record cannot be compared with them
    if isinstance(typed, str):
        try:
            typed = float(typed)  # 1e-4 is text to YAML
        except ValueError:
            return typed == str(value) or "$" in text
    return bool(typed == value)
