"""What of an extraction is safely on the disk: after an interruption the same command goes on from there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from selfalign.errors import UserError
from selfalign.files.regular_files import read_regular

_LARGEST = 256 * 2**20


class Journal:
    """Photographs are taken in order, so that the journal of what was done is a place in the list.

    Its first line names the extractor, each further one a place, the rows that were written up to it, a hash of the
    photographs before it, and those that could not be read.

    Args:
        path: of its file.
        extractor: digest of the extractor.
        photographs: one line of each that changes when it changes.

    Raises:
        UserError: if the file is of another extractor or of other photographs, or no journal.
    """

    def __init__(self, path: Path, extractor: str, photographs: Sequence[str]) -> None:
        self.path = path
        self.seen = self.rows = self.padded = 0
        self.skipped: dict[int, str] = {}
        self._photographs = photographs
        self._hash = hashlib.sha256()
        lines = self._lines()
        if not lines:
            self._append({"extractor": extractor})
            return
        try:
            first, *notes = [json.loads(line) for line in lines]
            if first["extractor"] != extractor:
                raise UserError(f"{path}: an unfinished extraction by another extractor; remove it to start again")
            for note in notes:
                self.seen, self.rows, self.padded = (int(note[name]) for name in ("seen", "rows", "padded"))
                self.skipped |= {int(place): str(reason) for place, reason in note["skipped"]}
            known = str(notes[-1]["hash"]) if notes else self._hash.hexdigest()
            if not 0 <= self.rows <= self.seen or self.rows + len(self.skipped) != self.seen:
                raise ValueError("its counts contradict each other")
        except UserError:
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: not a journal of an extraction; remove it to start again") from error
        self._advance(0, self.seen)
        if self.seen > len(photographs) or self._hash.hexdigest() != known:
            raise UserError(
                f"{path}: an unfinished extraction whose first {self.seen:,} photographs are no longer the same; "
                "remove it to start again"
            )
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")  # less a note that was cut

    def note(self, seen: int, rows: int, padded: int, skipped: dict[int, str]) -> None:
        """Remember that everything before the photograph ``seen`` is on the disk, in ``rows`` rows."""
        self._advance(self.seen, seen)
        fresh = [[place, reason] for place, reason in skipped.items() if place not in self.skipped]
        self.seen, self.rows, self.padded, self.skipped = seen, rows, padded, dict(skipped)
        self._append({"seen": seen, "rows": rows, "padded": padded, "skipped": fresh, "hash": self._hash.hexdigest()})

    def _advance(self, start: int, end: int) -> None:
        for line in self._photographs[start:end]:
            self._hash.update(f"{line}\n".encode("utf-8", "surrogatepass"))

    def _lines(self) -> list[str]:
        if not self.path.exists():
            return []
        text = read_regular(self.path, "journal", _LARGEST).decode("utf-8", "replace")
        return text.split("\n")[:-1]

    def _append(self, note: dict[str, object]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(note) + "\n")
            file.flush()
            os.fsync(file.fileno())
