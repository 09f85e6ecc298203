"""``ranks.npz``: the rank of every query of an evaluation, from which runs on the same queries are compared."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib import format as npy_format

from selfalign.errors import UserError
from selfalign.files.regular_files import open_regular
from selfalign.files.whole_files import whole_file

if TYPE_CHECKING:
    from torch import Tensor

    from selfalign.metrics.protocols import RetrievalResult

NAME = "ranks.npz"
_LARGEST = 256 * 2**20
"""Bytes; the ranks of COCO's 5,000 images and 25,000 captions under two protocols take 0.4 million."""
_MOST_MEMBERS = 64
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_PROTOCOL = re.compile(r"[a-z0-9_]{1,64}")


@dataclass(frozen=True, eq=False)
class ProtocolRanks:
    """Ranks from 1 of the best-placed right answer under one protocol.

    Attributes:
        i2t: (N,) int32, image queries: the images that have a caption, in order.
        t2i: (M,) int32, caption queries.
        fold: (N,) int32, the fold of each image, from 0; ``None`` where all images are one gallery.
    """

    i2t: np.ndarray
    t2i: np.ndarray
    fold: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class QueryRanks:
    """The ranks of one evaluation.

    Attributes:
        queries: fingerprint of the captions and of the image of each; runs with the same one can be paired.
        image_of_caption: (M,) int32, counted among the N images that have a caption.
        protocols: ranks by name of the protocol.
    """

    queries: str
    image_of_caption: np.ndarray
    protocols: Mapping[str, ProtocolRanks]


def fingerprint(texts: Sequence[str], image_of_caption: Sequence[int]) -> str:
    """SHA-256 of the captions of a gallery in order, each with the image that it describes."""
    digest = hashlib.sha256()
    for text, image in zip(texts, image_of_caption, strict=True):
        digest.update(json.dumps([int(image), text]).encode() + b"\n")
    return digest.hexdigest()


def save_ranks(results: Sequence[RetrievalResult], image_of_caption: Tensor, texts: Sequence[str], path: Path) -> None:
    """Write the ranks of one gallery under every protocol that was asked for; nobody ever sees half a file."""
    owners = image_of_caption.cpu().numpy()
    arrays = {"queries": np.array(fingerprint(texts, owners.tolist())), "image_of_caption": owners.astype(np.int32)}
    for result in results:
        arrays[f"{result.protocol}.i2t"] = result.ranks.i2t.cpu().numpy().astype(np.int32)
        arrays[f"{result.protocol}.t2i"] = result.ranks.t2i.cpu().numpy().astype(np.int32)
        if result.images > len(result.ranks.i2t):
            arrays["images"] = np.array([result.images], np.int32)
        if result.folds:
            sizes = [fold.images for fold in result.folds]
            arrays[f"{result.protocol}.fold"] = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    with whole_file(path) as place, place.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_ranks(path: Path) -> QueryRanks:
    """Read what :func:`save_ranks` wrote; nothing in the file is trusted.

    Raises:
        UserError: if the file is missing, damaged, or holds anything else.
    """
    with open_regular(path, "ranks", _LARGEST) as file:
        try:
            return _checked(_arrays(file.read(_LARGEST)))
        except Exception as error:  # a damaged archive breaks the readers of zip and npy in a dozen ways
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise UserError(f"ranks {path}: damaged ({reason}); evaluate the checkpoint again") from error


def _arrays(content: bytes) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        names = [member.filename for member in members]
        if len(members) > _MOST_MEMBERS or len(set(names)) != len(names):
            raise ValueError("too many members, or two of one name")
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):  # so that none grows when it is read
            raise ValueError("compressed members")
        return {name.removesuffix(".npy"): _array(archive.read(name)) for name in names}


def _array(content: bytes) -> np.ndarray:
    """An ``.npy`` of int32 or text, whose header may promise only what is there."""
    stream = io.BytesIO(content)
    if npy_format.read_magic(stream) != (1, 0):
        raise ValueError("unknown version of npy")
    shape, fortran, dtype = npy_format.read_array_header_1_0(stream)
    body = content[stream.tell() :]
    if fortran or not (dtype == np.int32 or dtype.kind == "U") or len(shape) > 1:
        raise ValueError(f"an array of type {dtype} and shape {shape}")
    if int(np.prod(shape, dtype=object)) * dtype.itemsize != len(body):
        raise ValueError("an array is cut")
    return np.frombuffer(body, dtype).reshape(shape)


def _checked(arrays: dict[str, np.ndarray]) -> QueryRanks:
    queries, owners = str(arrays.pop("queries")), arrays.pop("image_of_caption")
    if not _FINGERPRINT.fullmatch(queries):
        raise ValueError("no fingerprint of the queries")
    if owners.ndim != 1 or owners.dtype != np.int32 or not len(owners):
        raise ValueError("no image of each caption")
    images, known = int(owners.max()) + 1, arrays.pop("images", None)
    gallery = images if known is None else int(known.item())
    if owners.min() < 0 or gallery < images:
        raise ValueError("images that are not there")
    rows, owners = np.unique(owners, return_inverse=True)
    if known is None and len(rows) < images:
        raise ValueError("images without captions")
    images, owners = len(rows), owners.astype(np.int32)
    names = list(dict.fromkeys(name.rpartition(".")[0] for name in arrays))
    if not names or any(not _PROTOCOL.fullmatch(name) for name in names):
        raise ValueError("no protocol")
    protocols = {name: _protocol(arrays, name, images, gallery, len(owners)) for name in names}
    if arrays:
        raise ValueError(f"unknown member {min(arrays)}")
    return QueryRanks(queries, owners, protocols)


def _protocol(arrays: dict[str, np.ndarray], name: str, images: int, gallery: int, captions: int) -> ProtocolRanks:
    found = ProtocolRanks(arrays.pop(f"{name}.i2t"), arrays.pop(f"{name}.t2i"), arrays.pop(f"{name}.fold", None))
    limits = [(found.i2t, images, 1, captions), (found.t2i, captions, 1, gallery)]
    if found.fold is not None:
        limits.append((found.fold, images, 0, images - 1))
    for values, count, lowest, highest in limits:
        if values.shape != (count,) or values.dtype != np.int32:
            raise ValueError(f"{name}: expected {count} integers, got {values.dtype} of shape {values.shape}")
        if values.min() < lowest or values.max() > highest:
            raise ValueError(f"{name}: expected values from {lowest} to {highest}")
    return found
