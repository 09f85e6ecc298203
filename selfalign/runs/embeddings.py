"""Vectors of images and captions on disk, as safetensors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from selfalign.errors import UserError
from selfalign.functional.ranks import Tile, embedding_tile, mean_tile
from selfalign.functional.similarity import joint_embeddings
from selfalign.structures import CaptionEmbedding, ImageEmbedding

_Record = TypeVar("_Record", ImageEmbedding, CaptionEmbedding)
_RECORDS: dict[str, tuple[type[ImageEmbedding] | type[CaptionEmbedding], str]] = {
    "images": (ImageEmbedding, "views"),
    "captions": (CaptionEmbedding, "vector"),
}


@dataclass(frozen=True, eq=False)
class Embeddings:
    """The vectors of a gallery of images or of captions, of one model or of each model of an ensemble.

    Attributes:
        parts: one record a model: :class:`ImageEmbedding` with ``views`` (N, V, D) and ``context`` (N, 2·D) or
            ``None``, or :class:`CaptionEmbedding` with ``vector`` (M, D) and ``context`` (M, 2·D) or ``None``; fp32.
        models: identity of each model, so that vectors of different models are never compared.
    """

    parts: tuple[ImageEmbedding | CaptionEmbedding, ...]
    models: tuple[str, ...]

    def __len__(self) -> int:
        part = self.parts[0]
        return len(part.views if isinstance(part, ImageEmbedding) else part.vector)

    @property
    def kind(self) -> str:
        """``"images"`` or ``"captions"``."""
        return "images" if isinstance(self.parts[0], ImageEmbedding) else "captions"

    def __getitem__(self, rows: slice | Tensor) -> Embeddings:
        """Some of the rows."""
        return Embeddings(tuple(part.map(lambda values: values[rows]) for part in self.parts), self.models)

    def save(self, path: str | Path) -> None:
        """Write them as safetensors: ``0.views`` or ``0.vector``, ``0.context``, then ``1.`` … of an ensemble."""
        tensors = {
            f"{number}.{name}": values.contiguous()
            for number, part in enumerate(self.parts)
            for name, values in vars(part).items()
            if values is not None
        }
        save_file(tensors, path, {"kind": self.kind, "models": json.dumps(self.models)})

    @classmethod
    def load(cls, path: str | Path) -> Embeddings:
        """Read what :meth:`save` wrote.

        Raises:
            UserError: if the file is missing, damaged, or of something else.
        """
        try:
            with safe_open(path, framework="pt") as file:
                described = file.metadata() or {}
                models = tuple(json.loads(described["models"]))
                record, first = _RECORDS[described["kind"]]
                names = set(file.keys())
                parts = tuple(
                    record(
                        file.get_tensor(f"{number}.{first}"),
                        file.get_tensor(f"{number}.context") if f"{number}.context" in names else None,
                    )
                    for number in range(len(models))
                )
        except Exception as error:  # the library raises types of its own
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise UserError(f"embeddings {path}: cannot be read ({reason})") from error
        return cls(parts, models)


def joined(parts: Sequence[Embeddings]) -> Embeddings:
    """Embeddings of one kind and of the same models, one after the other."""
    return Embeddings(tuple(map(joined_records, zip(*(one.parts for one in parts), strict=True))), parts[0].models)


def joined_records(records: Sequence[_Record]) -> _Record:
    """The vectors of one model, batch after batch, as one record."""
    values = {
        name: None if value is None else torch.cat([getattr(record, name) for record in records])
        for name, value in vars(records[0]).items()
    }
    return type(records[0])(**values)  # type: ignore[arg-type]


def embeddings_tile(images: Embeddings, captions: Embeddings) -> Tile:
    """Similarities of images and captions; of an ensemble the mean of its models'.

    Raises:
        UserError: if they are not images and captions, or different models encoded them.
    """
    for name, embeddings in (("images", images), ("captions", captions)):
        if embeddings.kind != name:
            raise UserError(f"similarity: expected {name} and the other kind, got {embeddings.kind} twice")
    if images.models != captions.models:
        raise UserError("captions: embeddings of another model than the images'; encode both with one")
    pairs = zip(images.parts, captions.parts, strict=True)
    return mean_tile([embedding_tile(image, caption) for image, caption in pairs])  # type: ignore[arg-type]


def save_embeddings(
    pairs: Sequence[tuple[ImageEmbedding, CaptionEmbedding]], similarity: Tensor, image_of_caption: Tensor, path: Path
) -> None:
    """Write ``image`` (N, [V,] ·), ``caption`` (M, ·), ``similarity`` (N, M) in fp32, ``image_of_caption`` (M,) int64.

    ``similarity`` is the largest dot product of a caption with an image's views:
    ``selfalign.functional.similarity.multi_view_similarity``. The models of an ensemble are ``image.0``, ``image.1`` …
    """
    tensors = {"similarity": similarity}
    for index, pair in enumerate(pairs):
        suffix = f".{index}" if len(pairs) > 1 else ""
        image, caption = joint_embeddings(*pair)
        tensors |= {f"image{suffix}": image, f"caption{suffix}": caption}
    record = {name: values.float().cpu().contiguous() for name, values in tensors.items()}
    save_file(record | {"image_of_caption": image_of_caption.cpu().long().contiguous()}, path)
