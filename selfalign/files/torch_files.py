"""Files of torch, read without running what is in them."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from selfalign.errors import UserError
from selfalign.files.nested_values import require_modest_values
from selfalign.files.pickled_opcodes import require_modest_pickle
from selfalign.files.regular_files import open_regular

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_AT_ONCE = 2**20
_ASKED_FOR = re.compile(r"GLOBAL ([A-Za-z_][\w.]{0,80}) (?:whose module|was not an allowed)")
_TORCHS_OWN = "Weights only load failed"
_LARGEST_RECORD = 64 * 2**20
"""Bytes of what is no tensor; a vocabulary of 30,000 word pieces takes one million."""
_OLD_PICKLES = 5
"""Of torch's old format: magic number, protocol, system, the object, its storages' names."""


def read_torch_file(path: Path, what: str, allowed: Sequence[type] = (), memory_map: bool = False) -> Any:
    """The content of a file that ``torch.save`` wrote: tensors and plain containers only.

    Sizes that the file claims are compared with its own before memory is taken, and every record with its checksum,
    which torch itself leaves out: a flipped bit would be another weight. (Torch's format before 1.6 has no checksums.)

    Args:
        path: the file.
        what: what it is, for messages.
        allowed: further classes that may be in it.
        memory_map: leave tensors on disk until they are used; not for files of torch's old format.

    Raises:
        UserError: if the file is missing, damaged, or asks for anything else.
    """
    if not path.exists():
        raise UserError(f"{what} {path}: no such file")
    with open_regular(path, what) as file:
        try:
            _require_honest_sizes(file, path.stat().st_size)
            require_checksums(file, older_formats=True)
            with torch.serialization.safe_globals(list(allowed)):
                content = torch.load(path, map_location="cpu", weights_only=True, mmap=memory_map)
            require_modest_values(content)
            _require_own_values(content)
        except Exception as error:  # torch's restricted reader raises a dozen types on damaged files
            reason = _reason(error)
            raise UserError(
                f"{what} {path}: refused, damaged or of another program ({reason}); nothing of it ran"
            ) from error
    return content


def require_checksums(file: BinaryIO, *, older_formats: bool = False) -> None:
    """Read every record of torch's zip format, and compare it with its checksum.

    Args:
        file: of ``torch.save``.
        older_formats: let a file through that is no zip file, as torch wrote them before 1.6, without checksums.

    Raises:
        ValueError: naming the first one that differs; also if it is a damaged zip file.
    """
    file.seek(0)
    if file.read(len(_ZIP)) != _ZIP:
        if older_formats:
            return
        raise ValueError("not a file of torch.save")
    try:
        with zipfile.ZipFile(file) as archive:
            names = [record.filename for record in archive.infolist()]
            if len(set(names)) != len(names):
                raise ValueError("two records of one name")
            for record in archive.infolist():
                with archive.open(record) as content:
                    while content.read(_AT_ONCE):
                        pass
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, zlib.error) as error:
        raise ValueError(str(error)) from error


def _reason(error: Exception) -> str:
    """Why a file is refused, in a few words of our own where torch's give advice and colours."""
    text = " ".join(str(error).split())
    if (named := _ASKED_FOR.search(text)) is not None:
        return f"it asks for {named[1]}, which no checkpoint needs"
    if text.startswith(_TORCHS_OWN):  # advice to load it all the same, in bold
        return "it asks for more than tensors and plain values"
    return "".join(sign if sign.isprintable() else "?" for sign in text)[:200] or type(error).__name__


def _require_honest_sizes(file: BinaryIO, size: int) -> None:
    """Refuse packed or overlapping records, and records of objects that are no checkpoint's."""
    magic = file.read(4)
    file.seek(0)
    if magic.startswith(_PICKLE):
        for _ in range(_OLD_PICKLES):
            require_modest_pickle(file)
    elif magic == _ZIP:
        with zipfile.ZipFile(file) as archive:
            records = archive.infolist()
            if any(record.compress_type != zipfile.ZIP_STORED for record in records):
                raise ValueError("its records are packed, which torch never does")
            if sum(record.file_size for record in records) > size:
                raise ValueError("its records are larger than the file")
            for record in records:
                if record.filename.endswith(".pkl"):
                    if record.file_size > _LARGEST_RECORD:
                        raise ValueError(f"{record.filename} has {record.file_size:,} bytes")
                    require_modest_pickle(archive.read(record))
    else:
        raise ValueError("not a file of torch.save")


def _require_own_values(content: Any) -> None:
    """Refuse tensors with more values than the file holds for them: views that repeat one value a billion times."""
    for tensor in _tensors(content):
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ValueError(f"a tensor of shape {tuple(tensor.shape)} repeats the values that it has")


def _tensors(content: Any) -> Iterator[Tensor]:
    """All tensors in containers, each container once: they may hold themselves."""
    waiting, seen = [content], set()
    while waiting:
        item = waiting.pop()
        if isinstance(item, Tensor):
            yield item
        elif isinstance(item, dict | list | tuple) and id(item) not in seen:
            seen.add(id(item))
            waiting.extend(item.values() if isinstance(item, dict) else item)
