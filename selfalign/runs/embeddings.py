"""``embeddings.safetensors``: the vectors of an evaluation, from which anyone can compute its similarities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from selfalign.functional.similarity import joint_embeddings
from selfalign.structures import CaptionEmbedding, ImageEmbedding


def save_embeddings(pairs: Sequence[tuple[ImageEmbedding, CaptionEmbedding]], similarity: Tensor, path: Path) -> None:
    """Write ``image`` (N, [V,] ·), ``caption`` (M, ·) and ``similarity`` (N, M) in fp32.

    ``similarity`` is the largest dot product of a caption with an image's views:
    ``selfalign.functional.similarity.multi_view_similarity``. The models of an ensemble are ``image.0``, ``image.1`` …
    """
    tensors = {"similarity": similarity}
    for index, pair in enumerate(pairs):
        suffix = f".{index}" if len(pairs) > 1 else ""
        image, caption = joint_embeddings(*pair)
        tensors |= {f"image{suffix}": image, f"caption{suffix}": caption}
    save_file({name: values.float().cpu().contiguous() for name, values in tensors.items()}, path)
