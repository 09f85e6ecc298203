"""What travels between data, backbones, losses and metrics.

Shape glossary, used in every docstring and shape comment of the package:

    B  pairs in a batch          R  regions of an image (36)     F  region feature width (2048)
    W  words or word pieces of a caption, padded                 D  joint width (2048)
    V  views of an image (CAMERA 12, VSRN 1)                     P  prototypes (1024)
    N  images of a gallery       M  captions of a gallery        K  anything counted, said where used
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Self

import torch
from torch import Tensor

_ON_HOST = {"on_host": True}
"""Of a field whose tensor stays on the host when its record moves."""


class TensorRecord:
    """A dataclass of tensors, nested records and ``None``; moves between devices as one thing.

    What models and losses compute is frozen. Batches are not: Lightning converts their numbers, for
    ``strategy.precision=bf16-true``, by setting the fields of a copy.
    """

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """The same record with ``function`` applied to every tensor in it."""
        return self._mapped(function, function)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """``torch.Tensor.to`` of every tensor but those that stay on the host (Lightning moves batches with it)."""
        return self._mapped(lambda tensor: tensor.to(*args, **kwargs), lambda tensor: tensor)

    def pin_memory(self) -> Self:
        """``torch.Tensor.pin_memory`` of every tensor (torch's DataLoader calls it)."""
        return self.map(Tensor.pin_memory)

    def _mapped(self, function: Callable[[Tensor], Tensor], on_host: Callable[[Tensor], Tensor]) -> Self:
        values: dict[str, Any] = {}
        for one in fields(self):  # type: ignore[arg-type]
            value = getattr(self, one.name)
            if isinstance(value, Tensor):
                value = on_host(value) if "on_host" in one.metadata else function(value)
            elif isinstance(value, TensorRecord):
                value = value._mapped(function, on_host)
            values[one.name] = value
        return type(self)(**values)


def _on_host(counts: Tensor | None, own: Callable[[], Tensor], device: torch.device) -> Tensor:
    """``counts`` of a batch on ``device``, or where they are not given its ``own``, for which a GPU is waited for once.

    Raises:
        ValueError: if a batch was changed and its counts were not; looked for where that is free, on the CPU.
    """
    if counts is None:
        return own().cpu()
    if device.type == "cpu" and (real := own()) is not counts and real.tolist() != counts.tolist():
        raise ValueError(f"counts: expected {real.tolist()}, as the batch has, got {counts.tolist()}")
    return counts


@dataclass(eq=False)
class ImageBatch(TensorRecord):
    """Images as region features.

    Attributes:
        regions: (B, R, F) in the type on disk: float16 halves what is moved to the device.
        positions: (B, R, 6) float32, or ``None`` where the model needs none: x, y, w, h of each box divided by
            (width, height, width, height) of its image, w / h, and the share of the image's area.
        ids: (B,) int64, row of the image in its split.
        mask: (B, R) bool, true at real regions, which come first in each image; ``None`` where all images of the split
            have R. Padding is zeros.
        counts: (B,) int64, how many are real, on the host wherever the batch is, which then asks no GPU for them;
            made of ``mask`` where they are not given, ``None`` without one.
    """

    regions: Tensor
    positions: Tensor | None
    ids: Tensor
    mask: Tensor | None = None
    counts: Tensor | None = field(default=None, metadata=_ON_HOST)

    def __post_init__(self) -> None:
        mask = self.mask
        self.counts = None if mask is None else _on_host(self.counts, lambda: mask.sum(dim=1), mask.device)


@dataclass(eq=False)
class CaptionBatch(TensorRecord):
    """Captions as token ids.

    Attributes:
        tokens: (B, W) int64, padded at the end.
        lengths: (B,) int64, real tokens of each caption, special ones counted, at least 1.
        ids: (B,) int64, line of the caption in its split.
        image_ids: (B,) int64, row of the image that it describes.
        words: (B, W, width of BERT) float16, BERT's outputs where they were computed before; ``None`` otherwise.
        counts: the lengths on the host, wherever the batch is; made of ``lengths`` where they are not given.
    """

    tokens: Tensor
    lengths: Tensor
    ids: Tensor
    image_ids: Tensor
    words: Tensor | None = None
    counts: Tensor = field(default=None, metadata=_ON_HOST)  # type: ignore[assignment]  # never None once it is made

    def __post_init__(self) -> None:
        self.counts = _on_host(self.counts, lambda: self.lengths, self.lengths.device)

    @property
    def mask(self) -> Tensor:
        """(B, W) bool, true at real tokens."""
        return torch.arange(self.tokens.shape[1], device=self.tokens.device) < self.lengths[:, None]


@dataclass(eq=False)
class PairBatch(TensorRecord):
    """B pairs: row i of ``captions`` describes row i of ``images``.

    Attributes:
        images, captions: of this process.
        rows: pairs of every process that holds a share of the same batch; ``None`` for a batch of one process.
    """

    images: ImageBatch
    captions: CaptionBatch
    rows: tuple[int, ...] | None = None


@dataclass(eq=False)
class AlignmentBatch(TensorRecord):
    """Pairs whose object words have known boxes (``data=scenes``).

    Attributes:
        pairs: the B pairs.
        rows: (K,) int64, pair of each annotated word.
        words: (K,) int64, position of the word in the caption's tokens.
        phrases: (K, W) bool, true at the tokens of the word and of what is said of it before it.
        correct: (K, R) bool, true where a region overlaps a true box of the word; never at padding.
        centred: (K, R) bool, true where a region's centre lies in a true box of the word.
    """

    pairs: PairBatch
    rows: Tensor
    words: Tensor
    phrases: Tensor
    correct: Tensor
    centred: Tensor


@dataclass(frozen=True, eq=False)
class ContextEncoding(TensorRecord):
    """Output of the context head for B samples of n locals, all rows of unit length.

    Attributes:
        summary: (B, D), the global feature ``c``.
        locals: (B, n, D), the locals ``L``.
        fused: (B, D), the gated sum ``f``.
        mean_local: (B, D), mean of the (real) locals, not of unit length.
        mask: (B, n) bool, true at locals that count; ``None`` when all do.
    """

    summary: Tensor
    locals: Tensor
    fused: Tensor
    mean_local: Tensor
    mask: Tensor | None


@dataclass(frozen=True, eq=False)
class ImageEmbedding(TensorRecord):
    """What retrieval needs of N images: ``s = max_v views·vector + context·context``.

    Attributes:
        views: (N, V, D), each of unit length.
        context: (N, 2·D), ``½ [mean L ; f]`` of the context head (VSRN: ``½ [f ; mean L]``, as its authors), or
            ``None`` without one.
    """

    views: Tensor
    context: Tensor | None


@dataclass(frozen=True, eq=False)
class CaptionEmbedding(TensorRecord):
    """What retrieval needs of M captions.

    Attributes:
        vector: (M, D), of unit length.
        context: (M, 2·D), ``[f ; mean L]`` of the context head (VSRN: ``[mean L ; f]``), or ``None`` without one.
    """

    vector: Tensor
    context: Tensor | None


@dataclass(frozen=True, eq=False)
class ImageEncoding(TensorRecord):
    """Everything an image tower computes for B images.

    Attributes:
        embedding: what retrieval needs.
        concepts: (B, R, D), regions at the concept level, unit length over D.
        context: output of the context head, or ``None`` without one.
        region_weights: (B, R, V), CAMERA's scores ``S`` before the softmax over regions; ``None`` for VSRN.
        graph: (B, R, D), VSRN's ``norm_R`` of the graph output, which its captioner reads; ``None`` for CAMERA.
        mask: (B, R) bool, true at real regions; ``None`` when all are. Padding is zeros in all of these.
        counts: (B,) int64 on the host, how many are real; ``None`` when all are, or when only ``mask`` tells.
    """

    embedding: ImageEmbedding
    concepts: Tensor
    context: ContextEncoding | None = None
    region_weights: Tensor | None = None
    graph: Tensor | None = None
    mask: Tensor | None = None
    counts: Tensor | None = field(default=None, metadata=_ON_HOST)


@dataclass(frozen=True, eq=False)
class CaptionEncoding(TensorRecord):
    """Everything a text tower computes for B captions.

    Attributes:
        embedding: what retrieval needs.
        concepts: (B, W, D), words at the concept level, unit length over D; ``None`` for the original VSRN, whose
            words never have the width of regions.
        mask: (B, W) bool, true at real tokens.
        context: output of the context head, or ``None`` without one.
        counts: (B,) int64 on the host, real tokens of each caption; ``None`` when only ``mask`` tells.
    """

    embedding: CaptionEmbedding
    concepts: Tensor | None
    mask: Tensor
    context: ContextEncoding | None = None
    counts: Tensor | None = field(default=None, metadata=_ON_HOST)


@dataclass(frozen=True, eq=False)
class Ranks(TensorRecord):
    """Rank from 1 of the best-placed right answer of every query; ties count against the model.

    Attributes:
        i2t: (N,) int64, image queries among all captions: those images that have a caption, in order.
        t2i: (M,) int64, caption queries among all images.
    """

    i2t: Tensor
    t2i: Tensor
