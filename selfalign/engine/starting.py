"""Weights that a run starts with: of another run, or its own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from selfalign.backbones.batch_norm import LinearBeforeNorm
from selfalign.data.text.tokenizers import CaptionTokenizer, WordTokenizer, tokenizer_from_state
from selfalign.data.text.vocabulary import Vocabulary
from selfalign.engine.building import build_tokenizer
from selfalign.engine.modules.retrieval import RetrievalModule
from selfalign.errors import UserError
from selfalign.files.torch_files import read_torch_file
from selfalign.runs.checkpoint import checked_checkpoint, read_checkpoint


def start_tokenizer(config: Mapping[str, Any], report: Callable[[str], None]) -> CaptionTokenizer:
    """The caption tokenizer of a run: with ``init_from`` that of the checkpoint, whose weights mean its words.

    Args:
        config: of the run.
        report: told where the words come from.

    Raises:
        UserError: if the checkpoint is of another backbone, or the run asks for a vocabulary of its own.
    """
    extended = config.get("init_words") == "extended"
    if config["init_from"] is None:
        if extended:
            raise UserError("init_words: expected carried without init_from, got extended")
        return build_tokenizer(dict(config), report)
    path = Path(config["init_from"])
    provenance, _ = read_checkpoint(path)
    trained, wanted = provenance.config.get("backbone", {}).get("name"), config["backbone"]["name"]
    if trained != wanted:
        raise UserError(f"init_from: {path} is of backbone={trained}, the run of backbone={wanted}")
    tokenizer = tokenizer_from_state(provenance.tokenizer)
    if extended:
        return _extended(tokenizer, build_tokenizer(dict(config), report), path, report)
    _require_its_words(config, provenance.config, tokenizer, path, report)
    report(f"words of {os.path.relpath(path)}: {tokenizer.vocabulary_size:,}")
    return tokenizer


def _require_its_words(
    config: Mapping[str, Any],
    trained: Mapping[str, Any],
    tokenizer: CaptionTokenizer,
    path: Path,
    report: Callable[[str], None],
) -> None:
    """Refuse a vocabulary of the run's own, which the checkpoint's would silently replace."""
    vocabulary, its = ((of["backbone"].get("vocabulary") or {}) for of in (config, trained))
    for key in vocabulary.keys() & its.keys() - {"file"}:
        if vocabulary[key] != its[key]:
            raise UserError(
                f"init_from: {path} brings its own words, another vocabulary than backbone.vocabulary.{key}="
                f"{vocabulary[key]} would make; set backbone.vocabulary.{key}={its[key]}, with which it was trained"
            )
    named = vocabulary.get("file")
    if named is not None and build_tokenizer(dict(config), report).state() != tokenizer.state():
        raise UserError(
            f"init_from: {path} was trained with other words than those of backbone.vocabulary.file={named}; without "
            "that setting the run takes the checkpoint's, with init_words=extended both"
        )


def _extended(
    tokenizer: CaptionTokenizer, fresh: CaptionTokenizer, path: Path, report: Callable[[str], None]
) -> WordTokenizer:
    """The checkpoint's words under their ids, and the run's own behind them.

    Raises:
        UserError: if there are no words but word pieces, or the two cut captions in different ways.
    """
    if not isinstance(tokenizer, WordTokenizer) or not isinstance(fresh, WordTokenizer):
        raise UserError("init_words: expected carried, got extended; word pieces are those of the text encoder")
    old, new = tokenizer.vocabulary, fresh.vocabulary
    if old.tokenizer != new.tokenizer:
        raise UserError(
            f"init_words: the words of {path} were cut by {old.tokenizer}, the run's by {new.tokenizer}; set "
            f"backbone.vocabulary.tokenizer={old.tokenizer}"
        )
    more = [word for word in new.ids if word not in old.ids]
    ids = old.ids | {word: len(old) + number for number, word in enumerate(more)}
    report(f"words of {os.path.relpath(path)}: {len(old):,}, and {len(more):,} of the training captions behind them")
    return WordTokenizer(Vocabulary(ids, old.tokenizer))


def tokenizer_of_a_run_that_goes_on(path: Path, fresh: CaptionTokenizer) -> CaptionTokenizer:
    """The checkpoint's own, where its vocabulary is that of the data: older versions may have split words otherwise.

    Args:
        path: the run's own checkpoint.
        fresh: made from the data as they are now.

    Returns:
        ``fresh`` where the vocabularies differ, which :func:`require_same_model` refuses.
    """
    trained = read_checkpoint(path)[0].tokenizer
    return tokenizer_from_state(trained) if _vocabulary(trained) == _vocabulary(fresh.state()) else fresh


def load_weights(module: RetrievalModule, path: Path, report: Callable[[str], None]) -> None:
    """Start a new run with the weights of a checkpoint (``init_from``).

    What the module has and the checkpoint has not, as the heads of a further loss, or the vectors of words that only
    the run has, stays as it was drawn. What the checkpoint has and the module has not is left out.

    Args:
        module: fresh.
        path: a checkpoint of this project; the authors' are converted by ``eval.py original.to=NEW.ckpt``.
        report: told what stays fresh and what is left out.

    Raises:
        UserError: if the checkpoint has weights of other shapes, other regions, or other words.
    """
    provenance, weights = read_checkpoint(path)
    words, more = (_word_ids(state) for state in (provenance.tokenizer, module.provenance["tokenizer"]))
    if not _goes_on(words, more) and provenance.tokenizer != module.provenance["tokenizer"]:
        raise UserError(f"init_from: {path} has other words than the run")
    width = module.provenance["region_width"]
    if provenance.region_width != width:
        raise UserError(
            f"init_from: {path} reads regions {provenance.region_width:,} wide, those of the run are {width:,} wide"
        )
    own = module.state_dict()
    known = {name: values for name, values in weights.items() if name in own}
    for name, values in known.items():
        shape = own[name].shape
        if shape != values.shape and (len(values), len(own[name])) == (len(words or ()), len(more or ())):
            known[name] = torch.cat([values, own[name][len(values) :]]) if shape[1:] == values.shape[1:] else values
    strange = [name for name, values in known.items() if own[name].shape != values.shape]
    if strange:
        raise UserError(
            f"init_from: {len(strange)} weights of {path} do not fit the model, {strange[0]} the first "
            f"({tuple(known[strange[0]].shape)}, the run's are {tuple(own[strange[0]].shape)}); use the backbone and "
            "loss settings that it was trained with"
        )
    module.load_state_dict(known, strict=False)
    fresh, left = [name for name in own if name not in weights], [name for name in weights if name not in own]
    told = [f"weights of {os.path.relpath(path)}"]
    told += [f"{len(fresh)} weights of {', '.join(_parents(fresh))} stay fresh"] if fresh else []
    told += [f"{len(left)} of {', '.join(_parents(left))} are not used"] if left else []
    report(", ".join(told))


def _word_ids(state: Mapping[str, Any]) -> dict[str, int] | None:
    """The words of a tokenizer's state; ``None`` of word pieces."""
    return state["vocabulary"]["ids"] if state.get("kind") == "words" else None


def _goes_on(words: Mapping[str, int] | None, more: Mapping[str, int] | None) -> bool:
    """Whether all words have kept their ids."""
    return words is not None and more is not None and words.items() <= more.items()


def require_same_model(module: RetrievalModule, path: Path) -> int:
    """The optimiser steps behind a run's own checkpoint.

    Raises:
        UserError: if the data or their vocabulary have changed since.
    """
    content = read_torch_file(path, "checkpoint", memory_map=True)
    provenance, _ = checked_checkpoint(path, content)
    now = module.provenance
    if provenance.tokenizer != now["tokenizer"] or provenance.region_width != now["region_width"]:
        raise UserError(f"resume: the training data have changed since {path} was saved; other words or features")
    if (provenance.extractor or {}).get("digest") != (now.get("extractor") or {}).get("digest"):
        raise UserError(f"resume: the training features are of another extractor than those of {path}")
    return int(content["global_step"])


def train_what_was_trained(module: RetrievalModule, path: Path) -> None:
    """Let a run that an older version started go on as it began: there, biases right before a BatchNorm were trained.

    Args:
        module: fresh.
        path: the run's own checkpoint.
    """
    groups = read_torch_file(path, "checkpoint", memory_map=True)["optimizer_states"][0]["param_groups"]
    biases = [part.bias for part in module.modules() if isinstance(part, LinearBeforeNorm)]
    trained = sum(values.requires_grad for values in module.parameters())
    if sum(len(group["params"]) for group in groups) == trained + len(biases):
        for bias in biases:
            bias.requires_grad_(True)


def _vocabulary(state: Mapping[str, Any]) -> Any:
    """The words or word pieces of a tokenizer's state, with their ids."""
    return json.loads(state["backend"])["model"]["vocab"] if "backend" in state else state


def _parents(names: list[str]) -> list[str]:
    """The modules, two levels deep, that parameters belong to."""
    return list(dict.fromkeys(".".join(name.split(".")[:2]) for name in names))
