"""Whole training steps: ours, and the same towers with everything else as the authors do it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from selfalign.backbones.bert import build_bert
from selfalign.backbones.camera import Camera
from selfalign.backbones.caption_decoder import RegionCaptioner
from selfalign.backbones.vsrn import Vsrn
from selfalign.functional.similarity import joint_embeddings
from selfalign.losses.concept_alignment import ConceptAlignmentLoss
from selfalign.losses.context_alignment import ContextAlignmentLoss
from selfalign.losses.diversity import DiversityLoss, diversity_loss
from selfalign.losses.ranking import RankingLoss
from selfalign.modules.camera import CameraModule
from selfalign.modules.retrieval import Optimisation, RetrievalModule
from selfalign.modules.vsrn import VsrnModule
from selfalign.structures import CaptionBatch, CaptionEncoding, ImageBatch, ImageEncoding, PairBatch
from tests.benchmarks import authors
from tests.benchmarks.routines import Functions, Size

_VOCABULARY = {"camera": 30522, "vsrn": 8481}
_PIECES = 32
_DECODER = 61
_BERT_BASE = {"model_type": "bert", "vocab_size": _VOCABULARY["camera"]}


def build(name: str, size: Size, padding: str = "masked", **settings: Any) -> RetrievalModule:
    """CAMERA or VSRN with SelfAlign, random weights, BERT-base's size."""
    shared: dict[str, Any] = {"region_width": size.width, "width": size.width, "padding": padding, **settings}
    losses: dict[str, torch.nn.Module] = {
        "ranking": RankingLoss(),
        "concept": ConceptAlignmentLoss(size.width, size.prototypes),
        "context": ContextAlignmentLoss(),
    }
    weights = {"ranking": 1.0, "concept": 1.0, "context": 1.0}
    optimisation = Optimisation(learning_rate=1e-4, decay_every=10)
    module: RetrievalModule
    if name == "camera":
        network = Camera(bert=build_bert(_BERT_BASE), views=size.views, **shared)
        losses["diversity"], weights["diversity"] = DiversityLoss(), 0.01
        module = CameraModule(network, losses, weights, optimisation)
    else:
        vocabulary = _VOCABULARY[name]
        losses["captioning"], weights["captioning"] = RegionCaptioner(size.width, vocabulary), 1.0
        module = VsrnModule(Vsrn(vocabulary_size=vocabulary, **shared), losses, weights, optimisation)
    module.log = module.log_dict = lambda *arguments, **others: None  # type: ignore[method-assign]
    return module.to(size.device).train()


def batch(name: str, size: Size, width: int | None = None) -> PairBatch:
    """Pairs of random regions and random words of real lengths, padded to ``width`` or the longest."""
    rows = torch.arange(size.batch, device=size.device)
    limit = _PIECES if name == "camera" else 10**6
    lengths = size.lengths.clamp_max(limit)
    width = width or int(lengths.max())
    tokens = torch.randint(5, _VOCABULARY[name], (size.batch, width), device=size.device)
    tokens = tokens.masked_fill(torch.arange(width, device=size.device) >= lengths[:, None], 0)
    positions = torch.rand(size.batch, size.regions, 6, device=size.device)
    regions = torch.rand(size.batch, size.regions, size.width, device=size.device)
    return PairBatch(ImageBatch(regions, positions, rows), CaptionBatch(tokens, lengths, rows, rows))


def training_step(name: str, size: Size, **settings: Any) -> Functions:
    """One step with optimiser and clipping, ours and theirs, of two copies of the model."""
    ours, theirs = build(name, size, **settings), build(name, size, padding="paper")
    own, fixed = batch(name, size), batch(name, size, _PIECES if name == "camera" else None)
    optimizers = [module.configure_optimizers()["optimizer"] for module in (ours, theirs)]

    def finish(module: RetrievalModule, optimizer: torch.optim.Optimizer, total: Tensor) -> None:
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 2.0)
        optimizer.step()

    def step() -> None:
        with torch.autocast(size.device.type, torch.bfloat16, enabled=size.dtype == torch.bfloat16):
            total = ours.training_step(own, 0)
        finish(ours, optimizers[0], total)

    def slow_step() -> None:
        images = theirs.backbone.encode_images(fixed.images)
        captions = theirs.backbone.encode_captions(fixed.captions)
        finish(theirs, optimizers[1], _authors_total(theirs, fixed, images, captions))

    return {"ours": step, "theirs": slow_step}


def _authors_total(
    module: RetrievalModule, pairs: PairBatch, images: ImageEncoding, captions: CaptionEncoding
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
