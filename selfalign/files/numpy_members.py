"""``.npz`` and ``.npy`` files of others, read without trust: no pickles, nothing that unpacks to gigabytes."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from selfalign.errors import UserError
from selfalign.files.regular_files import open_regular

_LARGEST = 256 * 2**20
"""Bytes of an array of one image; 100 regions of 2,048 take 0.8 million."""


def read_members(path: Path, what: str, wanted: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
    """Those members of a ``.npz`` that are asked for and there; others are not unpacked.

    Args:
        path: the file.
        what: what it is, for messages.
        wanted: the names that a member may have, by the name that it gets.

    Raises:
        UserError: if the file is damaged, or such a member is pickled or larger than any such array.
    """
    with open_regular(path, what) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                there = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
                found = {}
                for name, spellings in wanted.items():
                    info = next((there[spelling] for spelling in spellings if spelling in there), None)
                    if info is None:
                        continue
                    if info.file_size > _LARGEST:
                        raise UserError(f"{what} {path}: {info.filename} unpacks to {info.file_size:,} bytes")
                    with archive.open(info) as member:
                        found[name] = np.lib.format.read_array(member, allow_pickle=False)
                return found
        except UserError:
            raise
        except Exception as error:  # zipfile, zlib and numpy raise a dozen types on damaged files
            raise UserError(f"{what} {path}: {_reason(error)}") from error


def read_array(path: Path, what: str) -> np.ndarray:
    """The array of a ``.npy`` of one image.

    Raises:
        UserError: if the file is damaged or pickled, or larger than any such array.
    """
    with open_regular(path, what, _LARGEST) as file:
        try:
            return np.lib.format.read_array(file, allow_pickle=False)
        except Exception as error:  # numpy evaluates the header as Python text, which fails in a dozen ways
            raise UserError(f"{what} {path}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())[:160] or type(error).__name__
    if "pickle" in text or "Object arrays" in text:
        return "an array of Python objects (a pickle), which could run code; write it again as plain numbers"
    return f"cannot be read ({text})"
