"""Whole training steps: ours, and the same towers with everything else as the authors do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from selfalign.backbones.base import Padding, TwoTower
from selfalign.backbones.bert import build_bert
from selfalign.backbones.camera import Camera
from selfalign.backbones.vsrn import Vsrn
from selfalign.engine.modules.optimisation import Optimisation
from selfalign.engine.modules.parts import build_losses
from selfalign.engine.modules.readings import LossTerm
from selfalign.engine.modules.schedules import StepDecay
from selfalign.engine.modules.two_tower import TwoTowerModule
from selfalign.functional.similarity import joint_embeddings
from selfalign.losses.diversity import diversity_loss
from selfalign.processes.memory import keep_freed_memory
from selfalign.structures import CaptionBatch, CaptionEncoding, ImageBatch, ImageEncoding, PairBatch
from tests.benchmarks import authors
from tests.benchmarks.measure import Factory
from tests.benchmarks.routines import Size

VOCABULARY = {"camera": 30522, "vsrn": 8481}
_PIECES = 32
_DECODER = 61
_BERT_WIDTH = 768
BERT_BASE = {"model_type": "bert", "vocab_size": VOCABULARY["camera"]}


def build(name: str, size: Size, padding: Padding = "masked") -> TwoTowerModule:
    """CAMERA or VSRN with SelfAlign, random weights, BERT-base's size."""
    network = build_network(name, size, padding=padding)
    return build_module(network, build_terms(name, size, selfalign_losses(name, size)), size)


def selfalign_losses(name: str, size: Size) -> dict[str, Any]:
    """The group ``loss`` of CAMERA or VSRN with SelfAlign, as published."""
    own = {"diversity": {"weight": 0.01}} if name == "camera" else {"captioning": {"weight": 1.0}}
    concept = {"weight": 1.0, "prototypes": size.prototypes}
    return {"ranking": {"weight": 1.0}, "concept": concept, "context": {"weight": 1.0}, **own}


def build_network(name: str, size: Size, **settings: Any) -> Camera | Vsrn:
    """The two towers."""
    shared: dict[str, Any] = {"region_width": size.width, "width": size.width, **settings}
    if name == "camera":
        bert = shared.pop("bert", None) or build_bert(BERT_BASE)
        return Camera(bert=bert, views=size.views, **shared)
    return Vsrn(vocabulary_size=VOCABULARY[name], **shared)


def build_terms(name: str, size: Size, loss: Mapping[str, Any]) -> dict[str, LossTerm]:
    """The losses of a group ``loss``."""
    return build_losses(dict(loss), size.width, VOCABULARY[name])


def build_module(network: TwoTower, losses: Mapping[str, LossTerm], size: Size) -> TwoTowerModule:
    """A module in training that logs nothing."""
    module = TwoTowerModule(network, losses, Optimisation(1e-4, StepDecay(10)))
    module.log = module.log_dict = lambda *arguments, **others: None  # type: ignore[method-assign]
    return module.to(size.device).train()


def batch(name: str, size: Size, width: int | None = None) -> PairBatch:
    """Pairs of random regions and random words of real lengths, padded to ``width`` or the longest."""
    rows = torch.arange(size.batch, device=size.device)
    limit = _PIECES if name == "camera" else 10**6
    lengths = size.lengths.clamp_max(limit)
    width = width or int(lengths.max())
    tokens = torch.randint(5, VOCABULARY[name], (size.batch, width), device=size.device)
    tokens = tokens.masked_fill(torch.arange(width, device=size.device) >= lengths[:, None], 0)
    positions = torch.rand(size.batch, size.regions, 6, device=size.device)
    regions = torch.rand(size.batch, size.regions, size.width, device=size.device)
    return PairBatch(ImageBatch(regions, positions, rows), CaptionBatch(tokens, lengths, rows, rows))


def training_step(name: str, size: Size, *, kept_bert: bool = False) -> dict[str, Factory]:
    """One step with optimiser and clipping, ours and theirs, each to be built in a process of its own.

    What one keeps of freed memory (:mod:`selfalign.processes.memory`) would serve the other in the same process.
    """
    return {
        "ours": partial(_our_step, name, size, kept_bert),
        "theirs": partial(_their_step, name, size),
        "bare": partial(_bare_products, name, size, kept_bert),
    }


def _bare_products(name: str, size: Size, kept_bert: bool) -> Callable[[], object]:
    """As many operations as our step's products have, in products of all regions by a square matrix."""
    with FlopCounterMode(display=False) as counted:
        _our_step(name, size, kept_bert)()
    rows = size.batch * size.regions
    times, rest = divmod(counted.get_total_flops(), 2 * rows * size.width**2)
    left, right = size.random(rows, size.width), size.random(size.width, size.width)
    last = left[: rest // (2 * size.width**2)]

    def products() -> None:
        for _ in range(times):
            left @ right
        last @ right

    return products


def _our_step(name: str, size: Size, kept_bert: bool) -> Callable[[], object]:
    if size.device.type == "cpu":
        keep_freed_memory()
    module, pairs = build(name, size), batch(name, size)
    if kept_bert:
        words = torch.rand(*pairs.captions.tokens.shape, _BERT_WIDTH, device=size.device, dtype=torch.float16)
        pairs = replace(pairs, captions=replace(pairs.captions, words=words))
    finish = finishing(module, module.configure_optimizers()["optimizer"])

    def step() -> None:
        with torch.autocast(size.device.type, torch.bfloat16, enabled=size.dtype == torch.bfloat16):
            total = module.training_step(pairs, 0)
        finish(total)

    return step


def _their_step(name: str, size: Size) -> Callable[[], object]:
    module = build(name, size, padding="paper")
    pairs = batch(name, size, _PIECES if name == "camera" else None)
    if name == "vsrn":
        for block in module.backbone.image_tower.graph:
            block.forward = partial(authors.graph_block, block)
    else:
        module.backbone.text_tower.bert.set_attn_implementation("eager")
        for tower in (module.backbone.image_tower, module.backbone.text_tower):
            tower.attention.forward = partial(authors.gated_attention, tower.attention)
    finish = finishing(module, torch.optim.Adam(module.parameters(), lr=module.optimisation.learning_rate))

    def step() -> None:
        images = module.backbone.encode_images(pairs.images)
        captions = module.backbone.encode_captions(pairs.captions)
        finish(_authors_total(module, pairs, images, captions))

    return step


def finishing(module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[Tensor], None]:
    """What ends a step once its loss is known: gradients, clipping, optimiser."""

    def finish(total: Tensor) -> None:
        total.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 2.0)
        optimizer.step()
        optimizer.zero_grad()

    return finish


def _authors_total(
    module: TwoTowerModule, pairs: PairBatch, images: ImageEncoding, captions: CaptionEncoding
) -> Tensor:
    views, vectors = joint_embeddings(images.embedding, captions.embedding)
    many = views.ndim == 3
    similarity = authors.multi_view_similarity(views, vectors) if many else views @ vectors.T
    concept = module.losses["concept"]
    lengths = pairs.captions.lengths.tolist()
    locals_ = images.context.locals
    every = torch.ones(locals_.shape[:2], dtype=torch.bool, device=locals_.device)
    words = torch.ones_like(captions.mask)  # padding counts as keys
    total = (
        authors.ranking(similarity)
        + authors.concept_alignment(images.concepts, captions.concepts, lengths, concept.prototypes)
        + 0.5 * authors.context_alignment(images.context.summary, captions.context.locals, words)
        + 0.5 * authors.context_alignment(captions.context.summary, locals_, every)
    )
    if "diversity" in module.losses:
        return total + 0.01 * diversity_loss(images.region_weights)
    tokens = torch.nn.functional.pad(pairs.captions.tokens, (0, _DECODER))[:, :_DECODER]
    mask = torch.arange(_DECODER, device=tokens.device) <= pairs.captions.lengths[:, None]
    return total + authors.captioning(module.losses["captioning"], images.graph, tokens, mask)
