"""Exact recalls both ways by us and by what people would use instead, on the same vectors, in one process, in turn.

The algorithms of others are written from what their evaluation does: VSE∞ sorts all scores of every query with NumPy;
CLIP_benchmark takes the top K of chunks of queries and marks them in a table of chunk × K × gallery.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from selfalign.functional.lists import AnswerLists, answer_lists
from selfalign.functional.ranks import embedding_tile
from selfalign.metrics.protocols import PROTOCOLS, evaluate, evaluate_protocols
from selfalign.structures import CaptionEmbedding, ImageEmbedding

DEPTHS = (1, 5, 10)
_PER_IMAGE = 5
_ANSWERS = 500
"""Of every query, as `eval.py save_answers=500` keeps for ECCV Caption."""
_CHUNK = 64
"""Queries; CLIP_benchmark's default batch."""
TIED = 0.02
"""Percent of the queries of a large gallery whose right answer may tie with a wrong one within rounding: ours counts
that against the model, the others as their sort happens to have it."""
SLOW = ("VSE∞", "CLIP_benchmark")
"""Called once; the others in every round."""

Recalls = tuple[float, ...]
"""R@1, R@5, R@10 of images, then of captions, in percent."""


@dataclass(frozen=True)
class Gallery:
    """Unit vectors of N images and of five captions of each, so noisy that recalls are far from 0 and 100."""

    images: Tensor
    captions: Tensor

    @property
    def owners(self) -> Tensor:
        """(5·N) image of each caption."""
        return torch.arange(len(self.captions)) // _PER_IMAGE


@dataclass(frozen=True)
class Cost:
    """Of one algorithm.

    Attributes:
        seconds: of the processor, median over the rounds; other programs do not count.
        peak: bytes of the process at its highest, beyond those before.
        recalls: what it found.
    """

    seconds: float
    peak: int
    recalls: Recalls


def gallery(images: int, width: int, noise_share: float = 8.0) -> Gallery:
    """Random vectors; of a caption, ``noise_share`` parts are noise."""
    generator = torch.Generator().manual_seed(0)
    own = torch.nn.functional.normalize(torch.randn(images, width, generator=generator), dim=1)
    noise = torch.randn(_PER_IMAGE * images, width, generator=generator) / width**0.5
    captions = own.repeat_interleave(_PER_IMAGE, 0) + noise_share * noise
    return Gallery(own, torch.nn.functional.normalize(captions, dim=1))


def ours(given: Gallery) -> Recalls:
    """What eval.py does."""
    image, caption = ImageEmbedding(given.images[:, None], None), CaptionEmbedding(given.captions, None)
    result = evaluate(embedding_tile(image, caption), given.owners, len(given.images))
    return tuple(getattr(side, f"r{depth}") for side in (result.i2t, result.t2i) for depth in DEPTHS)


def protocols(given: Gallery) -> dict[str, Callable[[], object]]:
    """What an evaluation may ask of MSCOCO's test images, together and one by one."""
    tile = embedding_tile(ImageEmbedding(given.images[:, None], None), CaptionEmbedding(given.captions, None))
    images = len(given.images)

    def together(names: Sequence[str], answers: int) -> None:
        lists = AnswerLists(given.owners, images, answers) if answers else None
        evaluate_protocols(tile, given.owners, images, names, lists=lists)
        if lists is not None:
            lists.lists()

    def one_by_one() -> None:
        for name in PROTOCOLS:
            evaluate(tile, given.owners, images, name)
        answer_lists(tile, given.owners, images, _ANSWERS)

    return {
        "full": partial(together, ["full"], 0),
        "full and five folds": partial(together, PROTOCOLS, 0),
        f"full, five folds, {_ANSWERS} answers": partial(together, PROTOCOLS, _ANSWERS),
        "the last, one by one": one_by_one,
    }


def bare(given: Gallery) -> Recalls:
    """One product, its first answers by row and by column, and nothing that looks for ties or broken values."""
    scores = given.images @ given.captions.T
    i2t, t2i = scores.topk(DEPTHS[-1], dim=1).indices, scores.topk(DEPTHS[-1], dim=0).indices.T
    return _of_answers(i2t.numpy(), t2i.numpy())


def by_faiss(given: Gallery) -> Recalls:
    """IndexFlatIP, both ways."""
    import faiss

    found = []
    for gallery, queries in ((given.captions, given.images), (given.images, given.captions)):
        index = faiss.IndexFlatIP(gallery.shape[1])
        index.add(gallery.numpy())
        found.append(index.search(queries.numpy(), DEPTHS[-1])[1])
    return _of_answers(*found)


def by_sorting(given: Gallery) -> Recalls:
    """VSE∞'s evaluation: the scores of each query sorted as a whole, one query after the other."""
    scores = given.images.numpy() @ given.captions.numpy().T
    i2t, t2i = np.zeros(len(scores)), np.zeros(scores.shape[1])
    for image in range(len(scores)):
        order = np.argsort(scores[image])[::-1]
        right = range(_PER_IMAGE * image, _PER_IMAGE * (image + 1))
        i2t[image] = min(np.where(order == caption)[0][0] for caption in right)
    turned = scores.T
    for image in range(len(scores)):
        for caption in range(_PER_IMAGE * image, _PER_IMAGE * (image + 1)):
            order = np.argsort(turned[caption])[::-1]
            t2i[caption] = np.where(order == image)[0][0]
    return tuple(100 * float((side < depth).mean()) for side in (i2t, t2i) for depth in DEPTHS)


def by_marks(given: Gallery) -> Recalls:
    """CLIP_benchmark's evaluation: top K of each chunk of queries, as marks in a table of chunk × K × gallery."""
    scores = given.captions @ given.images.T
    right = torch.zeros_like(scores, dtype=torch.bool)
    right[torch.arange(len(scores)), given.owners] = True
    found = []
    for table, positives in ((scores.T, right.T), (scores, right)):
        for depth in DEPTHS:
            parts = [
                _marked(table[start : start + _CHUNK], positives[start : start + _CHUNK], depth)
                for start in range(0, len(table), _CHUNK)
            ]
            found.append(100 * float((torch.cat(parts) > 0).double().mean()))
    return tuple(found)


def _marked(scores: Tensor, positives: Tensor, depth: int) -> Tensor:
    """Share of the right answers of each query among its first."""
    first = scores.topk(depth, dim=1).indices
    marks = torch.nn.functional.one_hot(first, num_classes=scores.shape[1])
    return (marks * positives[:, None]).sum(dim=(1, 2)) / positives.sum(dim=1)


def by_torchmetrics(given: Gallery) -> Recalls:
    """RetrievalHitRate, over every pair as a row; its RetrievalRecall is the share of right answers found."""
    from torchmetrics.retrieval import RetrievalHitRate

    scores = given.images @ given.captions.T
    right = torch.arange(len(scores))[:, None] == given.owners
    found = []
    for table, positives in ((scores, right), (scores.T, right.T)):
        queries = torch.arange(len(table))[:, None].expand_as(table)
        for depth in DEPTHS:
            metric = RetrievalHitRate(top_k=depth)
            metric.update(table.flatten(), positives.flatten(), indexes=queries.flatten())
            found.append(100 * float(metric.compute()))
    return tuple(found)


PEERS: dict[str, Callable[[Gallery], Recalls]] = {
    "ours": ours,
    "product, top-k": bare,
    "faiss, flat": by_faiss,
    "VSE∞": by_sorting,
    "CLIP_benchmark": by_marks,
}


def measured(
    given: Gallery,
    peers: Mapping[str, Callable[[Gallery], Recalls]],
    rounds: int,
    once: Sequence[str] = (),
    tied: float = 1e-4,
) -> dict[str, Cost]:
    """Call all in turn, for ``rounds`` rounds; those of ``once`` in the first only; recalls may differ by ``tied``.

    Raises:
        AssertionError: if one of them finds another recall: its time would mean nothing.
    """
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    peaks, recalls = {}, {}
    for turn in range(rounds):
        for name, call in peers.items():
            if turn and name in once:
                continue
            gc.collect()
            before = _from_now_on()
            start = time.process_time()
            recalls[name] = call(given)
            seconds[name].append(time.process_time() - start)
            peaks.setdefault(name, _highest() - before)
    first = next(iter(recalls.values()))
    for name, found in recalls.items():
        assert np.allclose(found, first, rtol=0, atol=tied), f"{name} finds {found}, others {first}"
    return {name: Cost(statistics.median(seconds[name]), peaks[name], recalls[name]) for name in peers}


def _of_answers(i2t: np.ndarray, t2i: np.ndarray) -> Recalls:
    """Recalls of the first answers: captions of each image, the image of each caption."""
    right = (i2t // _PER_IMAGE == np.arange(len(i2t))[:, None], t2i == (np.arange(len(t2i)) // _PER_IMAGE)[:, None])
    return tuple(100 * float(side[:, :depth].any(axis=1).mean()) for side in right for depth in DEPTHS)


def _from_now_on() -> int:
    """Let the kernel begin its account of the highest memory anew; bytes at this moment."""
    Path("/proc/self/clear_refs").write_text("5")
    return _highest()


def _highest() -> int:
    (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])
