"""Files of torch, read without running what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from selfalign.errors import UserError


def read_torch_file(path: Path, what: str, allowed: Sequence[type] = (), memory_map: bool = False) -> Any:
    """The content of a file that ``torch.save`` wrote: tensors and plain containers only.

    Args:
        path: the file.
        what: what it is, for messages.
        allowed: further classes that may be in it.
        memory_map: leave tensors on disk until they are used; not for files of torch's old format.

    Raises:
        UserError: if the file is missing, damaged, or asks for anything else.
    """
    if not path.is_file():
        raise UserError(f"{what} {path}: no such file")
    try:
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=memory_map)
    except Exception as error:  # torch's restricted reader raises a dozen types on damaged files
        reason = (" ".join(str(error).split()) or type(error).__name__)[:200]
        raise UserError(
            f"{what} {path}: refused, damaged or of another program ({reason}); nothing of it ran"
        ) from error
