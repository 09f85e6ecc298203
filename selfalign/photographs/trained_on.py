"""A model and the extractor whose features it was trained on: features of any other are noise to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfalign.errors import UserError, shown
from selfalign.photographs.record import RECORD, identity_from, record_where_there_is_one


def require_trained_on(trained: Mapping[str, Any] | None, model: str, root: Path) -> None:
    """Refuse a folder whose features are not of the extractor that a model was trained on.

    Features of which nothing tells the extractor, as SCAN's files, pass with a model that was trained on such features;
    whether both are of one extractor, nobody can tell.

    Args:
        trained: the record of the training features' extractor, as checkpoints hold it; ``None`` where nothing told it.
        model: its name, for the message.
        root: the folder.

    Raises:
        UserError: in one line, or if a record is damaged.
    """
    own, found = None if trained is None else identity_from(trained, model), record_where_there_is_one(root)
    if own is None and found is None:
        return
    if own is None:
        told = (
            f"made by {shown(found and found.model)}, {model} was trained on features of nobody knows which extractor"
        )
    elif found is None:
        told = f"nothing tells their extractor (no {RECORD}), {model} was trained on features of {shown(own.model)}"
    elif own.digest == found.digest:
        return
    else:
        told = (
            f"of another extractor ({shown(found.model)}) than those that {model} was trained on ({shown(own.model)}; "
            f"another {own.difference(found)})"
        )
    raise UserError(f"features {root}: {told}; features of two are never comparable")
