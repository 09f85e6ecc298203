"""``SHA256SUMS``: checksums of a data folder's files, as ``sha256sum -c SHA256SUMS`` reads them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from selfalign.data.checks.findings import Finding
from selfalign.errors import UserError
from selfalign.files.regular_files import open_regular, read_regular
from selfalign.files.whole_files import write_whole

_NAME = "SHA256SUMS"
_LARGEST_FILE = 2**20
_BLOCK = 4 * 2**20
_LINE = re.compile(r"([0-9a-f]{64}) [ *]([^/\\\x00]+)")


def write_checksums(root: Path, names: Sequence[str]) -> None:
    """Write or renew the lines of ``names`` in the folder's ``SHA256SUMS``; other lines stay.

    Raises:
        UserError: if a file cannot be read, or the lines there are no checksums.
    """
    path = root / _NAME
    sums = read_checksums(path) if path.exists() else {}
    sums |= {name: file_checksum(root / name) for name in names}
    write_whole(path, "".join(f"{value}  {name}\n" for name, value in sorted(sums.items())))


def read_checksums(path: Path) -> dict[str, str]:
    """Checksum of every named file.

    Raises:
        UserError: if the file cannot be read or a line is no checksum and a name without a folder.
    """
    sums = {}
    text = read_regular(path, "checksums", _LARGEST_FILE).decode("utf-8", "replace")
    for number, line in enumerate(text.splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise UserError(f"checksums {path}: line {number} is no checksum and name of a file in this folder")
        sums[match[2]] = match[1]
    return sums


def file_checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open_regular(path, "file") as file:
        blocks = -(-path.stat().st_size // _BLOCK)
        for _ in tqdm(range(blocks), desc=f"checksum {path.name}", unit=" blocks", disable=None, leave=False):
            digest.update(file.read(_BLOCK))
    return digest.hexdigest()


def checksum_findings(root: Path) -> Iterator[Finding]:
    """Every file that the folder's ``SHA256SUMS`` names, compared with it."""
    try:
        sums = read_checksums(root / _NAME)
    except UserError as error:
        yield Finding("error", "checksums", str(error))
        return
    for name, expected in sums.items():
        try:
            same = file_checksum(root / name) == expected
        except UserError as error:
            yield Finding("error", "checksums", str(error))
            continue
        if same:
            yield Finding("ok", "checksums", f"{name} is as written")
        else:
            yield Finding("error", "checksums", f"{root / name} is not what was written; convert or copy it again")
