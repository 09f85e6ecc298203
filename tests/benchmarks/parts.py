"""What parts of a full-size training step cost: the same step with and without each, by turns in one process."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from selfalign.backbones.bert import build_bert
from selfalign.backbones.pooling.attention import AttentionPooling
from selfalign.backbones.pooling.generalised import GeneralisedPooling
from selfalign.commands.composing import composed
from selfalign.engine.callbacks.averaged_weights import AveragedWeights
from selfalign.engine.modules.augmentation import SizeAugmentation
from selfalign.engine.modules.two_tower import TwoTowerModule
from selfalign.processes.memory import keep_freed_memory
from tests.benchmarks import steps
from tests.benchmarks.routines import Functions, Size

_CHANGED = 0.2
"""Share of the regions that size augmentation leaves out, and of the words that it changes."""


def word_contrast(name: str, size: Size) -> Functions:
    """A step of ``loss=words``, published otherwise, with the word-region contrast and without it."""
    _keep_freed_memory(size)
    loss = composed((f"backbone={name}", "data=f30k", "recipe=published", "loss=words"), "train")["loss"]
    terms = steps.build_terms(name, size, loss)
    others = {name: term for name, term in terms.items() if name != "words"}
    network, pairs = steps.build_network(name, size, context=False), steps.batch(name, size)
    ours, without = (steps.build_module(network, losses, size) for losses in (terms, others))
    finish = steps.finishing(ours, ours.configure_optimizers()["optimizer"])
    return {
        "with": lambda: finish(ours.training_step(pairs, 0)),
        "without": lambda: finish(without.training_step(pairs, 0)),
    }


def recipes(size: Size) -> Functions:
    """A step of CAMERA + SelfAlign, the published one first, then with what a recipe may change, one by one and all."""
    _keep_freed_memory(size)
    bert, width = build_bert(steps.BERT_BASE), size.width
    losses = steps.selfalign_losses("camera", size)
    published = _camera(size, losses, bert=bert)
    losses.pop("diversity")  # of the published summary, which a pooling replaces
    attention, generalised = (
        _camera(size, losses, bert=bert, image_pooling=pooling(), text_pooling=pooling())
        for pooling in (lambda: AttentionPooling(width), GeneralisedPooling)
    )
    return {
        "published": _step(published, size),
        "pooling by attention": _step(attention, size),
        "generalised pooling": _step(generalised, size),
        "size augmentation": _step(published, size, augmented=True),
        "attention and both": _step(attention, size, augmented=True, averaged=True),
        "generalised and both": _step(generalised, size, augmented=True, averaged=True),
    }


def averages(size: Size) -> Functions:
    """What the callback of averaged weights does after a step of CAMERA: too little to be seen in whole steps."""
    return {"averages": _averaging(steps.build("camera", size))}


def _averaging(module: TwoTowerModule) -> Callable[[], object]:
    callback, trainer = AveragedWeights(), SimpleNamespace(global_step=0)
    callback.setup(trainer, module, "fit")  # type: ignore[arg-type]  # it reads the number of the step

    def average() -> None:
        trainer.global_step += 1
        callback.on_train_batch_end(trainer, module, None, None, 0)  # type: ignore[arg-type]

    return average


def _camera(size: Size, losses: dict[str, Any], **settings: Any) -> TwoTowerModule:
    network = steps.build_network("camera", size, **settings)
    return steps.build_module(network, steps.build_terms("camera", size, losses), size)


def _step(
    module: TwoTowerModule, size: Size, *, augmented: bool = False, averaged: bool = False
) -> Callable[[], object]:
    """A step with optimiser and clipping, with size augmentation and with the callback of averaged weights."""
    pairs = steps.batch("camera", size)
    tokenizer: Any = SimpleNamespace(hidden_id=4, vocabulary_size=steps.VOCABULARY["camera"], pad_id=0)
    augmentation = SizeAugmentation(_CHANGED, _CHANGED, tokenizer) if augmented else None
    finish = steps.finishing(module, module.configure_optimizers()["optimizer"])
    average = _averaging(module) if averaged else None

    def step() -> None:
        module.augmentation = augmentation
        finish(module.training_step(pairs, 0))
        if average is not None:
            average()

    return step


def _keep_freed_memory(size: Size) -> None:
    if size.device.type == "cpu":
        keep_freed_memory()
