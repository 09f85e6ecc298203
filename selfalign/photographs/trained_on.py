"""A model and the extractor whose features it was trained on: features of any other are noise to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfalign.errors import UserError, shown
from selfalign.photographs.record import RECORD, identity_from, record_where_there_is_one

if TYPE_CHECKING:
    from selfalign.photographs.extractor import Extractor

Trained = Mapping[str, Mapping[str, Any] | None]
"""By model, the record of the extractor of its training features; ``None`` where nothing told it."""


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


def extractor_of(
    trained: Trained, *, model: str | None = None, detector: str | None = None, device: str | None = None
) -> Extractor:
    """What makes the regions of a new photograph, as those of the training data of all models were made.

    Args:
        trained: at least one model.
        model: where its vision model is now; ``None`` for where it was.
        detector: the same of its detector.
        device: of the computations; a GPU where there is one by default.

    Raises:
        UserError: if nothing tells the extractor of a model, models have several, or it is not at hand or another one.
    """
    from selfalign.photographs.extractor import Extractor  # PyTorch takes seconds

    identities = []
    for name, record in trained.items():
        if record is None:
            raise UserError(
                f"model {name}: nothing tells the extractor of its training features, as of "
                "SCAN's files; it takes no photographs. selfalign extract makes features that tell it"
            )
        identities.append(identity_from(record, f"model {name}"))
        identities[0].require_same(identities[-1], "ensemble")
    return Extractor.of_identity(identities[0], "model", model=model, detector=detector, device=device)


def require_trained_with(trained: Trained, extractor: Extractor) -> None:
    """Refuse photographs whose regions an extractor makes that is not that of all models.

    Raises:
        UserError: naming the model.
    """
    for name, record in trained.items():
        if record is None or record["digest"] != extractor.identity.digest:
            raise UserError(f"photographs: the model {name} was trained on features of another extractor")
