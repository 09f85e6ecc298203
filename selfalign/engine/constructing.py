"""Settings → objects: what does not fit is named by where it stands."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from selfalign.errors import UserError

Config = dict[str, Any]
Built = TypeVar("Built")


def construct(where: str, factory: Callable[..., Built], **values: Any) -> Built:
    """``factory(**values)`` whose unknown, missing or refused settings are named by where they stand.

    Raises:
        UserError: in one line.
    """
    try:
        inspect.signature(factory).bind(**values)
    except TypeError as error:
        raise UserError(f"{where}: {error}") from error
    try:
        return factory(**values)
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"{where}.{error}") from error


def without(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """``settings`` less ``names``."""
    return {name: value for name, value in settings.items() if name not in names}
