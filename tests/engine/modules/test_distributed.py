"""Several processes with a share of each batch compute what one computes with the whole batch."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from selfalign.backbones import batch_norm
from selfalign.data.dataset import PairDataset
from selfalign.functional import lists as lists_module
from selfalign.functional import ranks as ranks_module
from selfalign.functional.lists import AnswerLists
from selfalign.functional.ranks import Area, embedding_tile, ranks_of_areas, retrieval_ranks
from selfalign.metrics.recall import CrossModalRecall
from selfalign.processes import exchange
from selfalign.processes.exchange import ALONE, Processes, Shares, current
from selfalign.structures import CaptionEmbedding, ImageEmbedding
from tests.distributed_runner import Pool
from tests.engine.modules.test_training import built

TERMS = {
    "camera": ("ranking", "concept", "context", "diversity", "words"),
    "vsrn": ("ranking", "concept", "context", "captioning", "words"),
}
BATCHES = (range(0, 12), range(12, 19))
"""Captions of two steps: 12 pairs, and 7, which no number of processes shares out evenly."""


class _Step(torch.nn.Module):
    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: Any) -> Tensor:
        return self.module.training_step(batch, 0)


def _cheat(name: str | None) -> ExitStack:
    """Break one thing that processes exchange."""
    stack = ExitStack()
    if name == "scale of gathered rows":
        right = exchange._Gather.backward

        def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
            return right(context, gradient)[0] / len(context.rows), None, None

        stack.enter_context(mock.patch.object(exchange._Gather, "backward", backward))
    if name == "gathering":
        stack.enter_context(mock.patch.object(Shares, "gather", lambda self, values: values))
    if name == "what others say of my rows":
        gathered = exchange._Gather.backward
        stack.enter_context(mock.patch.object(exchange._GatherParts, "backward", gathered))
    if name == "scale of means":
        stack.enter_context(mock.patch.object(Shares, "of_mean", lambda self, value: value))
    if name == "Sinkhorn":
        module = importlib.import_module("selfalign.losses.concept_alignment")  # the room has a function of its name
        alone = module.sinkhorn

        def sinkhorn(scores: Tensor, **settings: Any) -> Tensor:
            return alone(scores, **settings | {"processes": ALONE})

        stack.enter_context(mock.patch.object(module, "sinkhorn", sinkhorn))
    if name == "BatchNorm":
        stack.enter_context(mock.patch.object(batch_norm, "current", return_value=ALONE))
    return stack


def train_two_steps(
    root: Path,
    backbone: str,
    terms: tuple[str, ...],
    double: bool,
    mode: bool,
    cheat: str | None = None,
    options: tuple[str, ...] = (),
) -> dict[str, Tensor]:
    """Losses, first gradients, assignments and final weights of two steps on this process's shares."""
    on = ["loss.words.weight=1"] if "words" in terms else []
    off = [f"loss.{name}.weight=0" for name in TERMS[backbone] if name not in terms]
    still = ["loss.captioning.dropout=0"] if backbone == "vsrn" else ["backbone.bert.dropout=false"]
    module, data = built(root, *off, *on, *still, *options, "training.learning_rate=0.01", backbone=backbone)
    kind = torch.float64 if double else torch.float32
    module.to(kind).train(mode)
    noted: dict[str, Tensor] = {}
    module.log = lambda name, value, **_: noted.__setitem__(f"{len(noted)} {name}", value)
    module.log_dict = lambda values, **_: [module.log(name, value) for name, value in values.items()]
    processes = current()
    step: torch.nn.Module = _Step(module)
    if processes.size > 1:
        step = DistributedDataParallel(
            step, broadcast_buffers=False, find_unused_parameters=set(terms) != set(TERMS[backbone])
        )
    # Not Adam, which turns the rounding noise of a vanishing gradient into a full step.
    optimizer = torch.optim.SGD([values for values in module.parameters() if values.requires_grad], lr=0.01)
    dataset = PairDataset(data.split("train"), processes.rank, processes.size)
    with _cheat(cheat):
        for number, captions in enumerate(BATCHES):
            batch = dataset.__getitems__(list(captions)).map(lambda t: t.to(kind) if t.is_floating_point() else t)
            optimizer.zero_grad()
            step(batch).backward()
            if number == 0:
                noted |= {
                    f"gradient {name}": values.grad.clone()
                    for name, values in module.named_parameters()
                    if values.grad is not None
                }
            optimizer.step()
        if "concept" in terms:
            regions = module.backbone.encode_images(batch.images).concepts
            assignments = module.losses["concept"].assign(regions, processes)
            noted["assignments"] = processes.gather(assignments, batch.rows)
    return noted | {name: values.clone() for name, values in module.state_dict().items()}


def largest_error(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    assert set(found) == set(expected)
    return max(
        float((found[name].double() - values.double()).abs().max() / (1 + values.double().abs().max()))
        for name, values in expected.items()
    )


@pytest.mark.parametrize(("backbone", "term"), [(backbone, term) for backbone in TERMS for term in TERMS[backbone]])
def test_each_loss_alone_is_that_of_one_process(pair: Pool, scan_folder: Path, backbone: str, term: str) -> None:
    expected = train_two_steps(scan_folder, backbone, (term,), True, True)
    for found in pair(train_two_steps, scan_folder, backbone, (term,), True, True):
        assert largest_error(found, expected) < 1e-10


@pytest.mark.parametrize(("processes", "mode"), [(2, True), (2, False), (3, True)])
@pytest.mark.parametrize("backbone", TERMS)
def test_losses_gradients_prototypes_and_weights_are_those_of_one_process(
    pools: Callable[[int], Pool], scan_folder: Path, backbone: str, processes: int, mode: bool
) -> None:
    """In training mode too: BatchNorm sees the whole batch."""
    expected = train_two_steps(scan_folder, backbone, TERMS[backbone], True, mode)
    for found in pools(processes)(train_two_steps, scan_folder, backbone, TERMS[backbone], True, mode):
        assert largest_error(found, expected) < 1e-10


@pytest.mark.parametrize("backbone", TERMS)
def test_images_with_different_numbers_of_regions_are_those_of_one_process(
    pair: Pool, scan_folder: Path, backbone: str
) -> None:
    counts = np.array([1, 4, 2, 3, 4, 1, 2, 2, 3, 4, 4, 1])
    features, real = np.load(scan_folder / "train_ims.npy"), np.arange(4) < counts[:, None]
    np.save(scan_folder / "train_ims.npy", np.where(real[..., None], features, 1e-9).astype(np.float32))
    whole = train_two_steps(scan_folder, backbone, TERMS[backbone], True, True)
    np.save(scan_folder / "train_ims.npy", features * real[..., None])
    np.save(scan_folder / "train_num_regions.npy", counts)
    expected = train_two_steps(scan_folder, backbone, TERMS[backbone], True, True)
    assert largest_error(whole, expected) > 1e-4  # without the file, padding counts
    for found in pair(train_two_steps, scan_folder, backbone, TERMS[backbone], True, True):
        assert largest_error(found, expected) < 1e-10


OPTIONS = {
    "margins by words": ("vsrn", ("ranking",), ("loss/ranking=guided",)),
    "learned temperature": (
        "vsrn",
        ("ranking",),
        ("loss/ranking=infonce", "loss.ranking.learned=true", "loss.ranking.same_image=positive"),
    ),
    "camera": (
        "camera",
        ("ranking", "words"),
        (
            "loss/ranking=infonce",
            "backbone.image_pooling=generalised",
            "backbone.text_pooling=attention",
            "backbone.norm_axis=none",
            "backbone.concepts=linear",
            "backbone.bert.window=2",
        ),
    ),
    "vsrn": (
        "vsrn",
        ("ranking", "words"),
        (
            "loss/ranking=infonce",
            "backbone.image_pooling=mean",
            "backbone.text_pooling=mean",
            "backbone.shortcut=true",
            "backbone.norm_axis=none",
            "backbone.concepts=convolution",
        ),
    ),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_beside_the_published_ones_compute_what_one_process_does(
    pair: Pool, scan_folder: Path, name: str
) -> None:
    backbone, terms, options = OPTIONS[name]
    expected = train_two_steps(scan_folder, backbone, terms, True, True, None, options)
    for found in pair(train_two_steps, scan_folder, backbone, terms, True, True, None, options):
        assert largest_error(found, expected) < 1e-10


@pytest.mark.parametrize("backbone", TERMS)
def test_single_precision_agrees_to_rounding(pair: Pool, scan_folder: Path, backbone: str) -> None:
    expected = train_two_steps(scan_folder, backbone, TERMS[backbone], False, False)
    for found in pair(train_two_steps, scan_folder, backbone, TERMS[backbone], False, False):
        assert largest_error(found, expected) < 1e-5


@pytest.mark.parametrize(
    ("cheat", "backbone", "term"),
    [
        ("scale of gathered rows", "vsrn", "ranking"),
        ("gathering", "vsrn", "ranking"),
        ("gathering", "vsrn", "context"),
        ("scale of means", "vsrn", "captioning"),
        ("Sinkhorn", "camera", "concept"),
        ("BatchNorm", "camera", "diversity"),
        ("what others say of my rows", "vsrn", "words"),
        ("scale of gathered rows", "camera", "words"),
    ],
)
def test_the_comparison_notices_what_is_missing(
    pair: Pool, scan_folder: Path, cheat: str, backbone: str, term: str
) -> None:
    expected = train_two_steps(scan_folder, backbone, (term,), True, True)
    found = pair(train_two_steps, scan_folder, backbone, (term,), True, True, cheat)[0]
    assert largest_error({name: found[name] for name in expected}, expected) > 1e-6


def gallery(images: int) -> tuple[ImageEmbedding, CaptionEmbedding]:
    random = torch.Generator().manual_seed(images)
    return (
        ImageEmbedding(torch.randn(images, 2, 6, generator=random), torch.randn(images, 4, generator=random)),
        CaptionEmbedding(torch.randn(5 * images, 6, generator=random), torch.randn(5 * images, 4, generator=random)),
    )


def measure(images: int) -> dict[str, float]:
    """Recall of a gallery of which each process shows a part, some of it twice."""
    processes, (image, caption), metric = current(), gallery(images), CrossModalRecall()
    metric.reset_gallery(images, 5 * images)
    for count, embedding in ((images, image), (5 * images, caption)):
        own = np.array_split(np.arange(count), processes.size)[processes.rank]
        rows = torch.from_numpy(np.concatenate([own[-1:], own]))
        owners = rows // 5 if embedding is caption else None
        metric.update(rows, embedding.map(lambda values, rows=rows: values[rows]), owners)
    return metric.compute()


@pytest.mark.parametrize("images", [7, 97, 500])
def test_all_processes_report_the_recall_of_one(pool: Pool, images: int) -> None:
    expected = measure(images)
    assert pool(measure, images) == [expected] * pool.size
    assert expected["rsum"] > 0


def count_tiles(images: int) -> tuple[list[int], int]:
    """Ranks of image queries, and how many similarities this process computed for them."""
    image, caption = gallery(images)
    computed = []

    def tile(rows: slice, columns: slice) -> Tensor:
        scores = embedding_tile(image, caption)(rows, columns)
        computed.append(scores.numel())
        return scores

    owners = torch.arange(5 * images) // 5
    ranks = retrieval_ranks(tile, owners, range(images), range(5 * images), current())
    return ranks.i2t.tolist(), sum(computed)


def test_queries_are_shared_out(pool: Pool) -> None:
    expected, alone = count_tiles(2000)
    for ranks, computed in pool(count_tiles, 2000):
        assert ranks == expected
        assert computed < alone * (0.4 if pool.size == 3 else 0.6)


def list_answers(images: int, top: int, tile: tuple[int, int], pending: int) -> list[list[list[Any]]]:
    """The first answers of both directions, found by all processes together, with scores full of ties."""
    scores = torch.randint(40, (images, 5 * images), generator=torch.Generator().manual_seed(0)).float()
    owners = torch.arange(5 * images) // 5
    lists = AnswerLists(owners, images, top)
    whole = Area(range(images), range(5 * images))
    with (
        mock.patch.multiple(ranks_module, TILE_IMAGES=tile[0], TILE_CAPTIONS=tile[1]),
        mock.patch.object(lists_module, "_PENDING", pending),
    ):
        ranks_of_areas(lambda rows, columns: scores[rows, columns], owners, images, [whole], current(), lists.see)
        return [[hits.rows.tolist(), hits.scores.tolist()] for hits in lists.lists(current())]


def test_processes_list_answers_together(pool: Pool) -> None:
    expected = list_answers(100, 20, (100, 500), 8192)
    assert pool(list_answers, 100, 20, (30, 70), 8192) == [expected] * pool.size
    assert pool(list_answers, 100, 20, (30, 70), 50) == [expected] * pool.size


def missing_caption() -> None:
    metric = CrossModalRecall()
    metric.reset_gallery(4, 20)
    image, caption = gallery(4)
    metric.update(torch.arange(4), image)
    metric.update(torch.arange(19), caption.map(lambda values: values[:19]), torch.arange(19) // 5)
    metric.compute()


def test_a_sample_that_no_process_has_seen_is_an_error(pool: Pool) -> None:
    with pytest.raises(RuntimeError, match="captions: expected ids 0 to 19 once each, got 19"):
        pool(missing_caption)


def gather_uneven() -> list[Any]:
    processes = current()
    rows = torch.arange(processes.rank, dtype=torch.float32)[:, None].repeat(1, 2)  # rank 0 has none
    return [processes.gather(rows).tolist(), processes.gather(rows[:, 0] > 0).tolist()]


def test_rows_are_gathered_in_order_of_rank_however_many_each_has(pool: Pool) -> None:
    values = [float(value) for rank in range(pool.size) for value in range(rank)]
    assert pool(gather_uneven) == [[[[value, value] for value in values], [value > 0 for value in values]]] * pool.size


def test_alone_nothing_is_exchanged() -> None:
    values = torch.rand(3, 2)
    processes = Processes()
    assert processes == ALONE == current()
    for result in (processes.sum(values), processes.max(values), processes.gather(values), processes.mean(values)):
        assert torch.equal(result, values)
