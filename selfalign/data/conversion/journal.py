"""What of a conversion is safely on the disk: after an interruption the same command goes on from there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from selfalign.errors import UserError


def unfinished_conversion(path: Path) -> dict[str, Any] | None:
    """What a conversion that was interrupted makes; ``None`` where there was none.

    Raises:
        UserError: if the file is no journal.
    """
    if not path.exists():
        return None
    try:
        first = json.loads(path.read_text(encoding="utf-8").partition("\n")[0] or "null")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a journal of a conversion; remove it and start again") from error
    return first if isinstance(first, dict) else None


class Journal:
    """A first line that names the conversion, then one line for every few images.

    Args:
        path: of its file.
        conversion: what makes another conversion of it, as plain values.

    Raises:
        UserError: if the file is of another conversion, or no journal.
    """

    def __init__(self, path: Path, conversion: dict[str, Any]) -> None:
        self.path = path
        self.rows: set[int] = set()
        self.read: dict[str, int] = {}
        try:
            lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
            first, *notes = [json.loads(line) for line in lines] or [None]
            for note in notes:
                self.rows.update(note["rows"])
                self.read[note["shard"]] = note["end"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: not a journal of a conversion; remove it and start again") from error
        if first is None:
            path.write_text(json.dumps(conversion) + "\n", encoding="utf-8")
        elif first != conversion:
            changed = next(name for name in conversion if first.get(name) != conversion[name])
            raise UserError(
                f"{path}: an unfinished conversion with another {changed} ({first.get(changed)}); "
                "finish it with the same settings, or remove the .partial files"
            )
        else:
            path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")  # less a note that was cut

    def note(self, shard: str, end: int, rows: list[int]) -> None:
        """Remember that ``rows`` and everything of ``shard`` up to ``end`` is on the disk."""
        self.rows.update(rows)
        self.read[shard] = end
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"shard": shard, "end": end, "rows": rows}) + "\n")
            file.flush()
            os.fsync(file.fileno())
