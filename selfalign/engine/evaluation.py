"""What training and evaluation share, and the evaluation of checkpoints, alone or together."""

from __future__ import annotations

import copy
import logging
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from selfalign import console
from selfalign.data.datamodule import RetrievalDataModule
from selfalign.data.loader_process import told_of_loaders
from selfalign.engine.building import (
    Config,
    build_data,
    rebuild_module,
    require_described_sizes,
)
from selfalign.engine.callbacks.keep_word_features import kept_word_features
from selfalign.engine.modules.retrieval import RetrievalModule
from selfalign.engine.subsets import (
    ChosenQueries,
    chosen_queries,
    evaluate_chosen,
    protocols_of,
    renumbered,
)
from selfalign.engine.trainer import build_trainer
from selfalign.errors import UserError
from selfalign.functional.lists import AnswerLists
from selfalign.functional.ranks import Tile, embedding_tile, full_similarity, mean_tile
from selfalign.interop.conversion import convert, is_original
from selfalign.metrics.protocols import PART, PROTOCOLS, RetrievalResult, check_protocol
from selfalign.photographs.trained_on import require_trained_on
from selfalign.processes.exchange import current
from selfalign.processes.place import is_first_process
from selfalign.reports.evaluation_table import table
from selfalign.runs import ranks_file
from selfalign.runs.answers_file import ANSWERS, save_answers, save_trec
from selfalign.runs.checkpoint import Provenance, read_checkpoint, write_checkpoint
from selfalign.runs.embeddings import save_embeddings
from selfalign.runs.results import RESULTS, environment, save_results
from selfalign.structures import CaptionEmbedding, ImageEmbedding


@dataclass(frozen=True)
class Gallery:
    """A split as one model sees it, or the part of it that limits of Lightning's let through."""

    image: ImageEmbedding
    caption: CaptionEmbedding
    image_of_caption: Tensor
    texts: list[str]
    alignment: dict[str, float]
    is_part: bool

    @property
    def tile(self) -> Tile:
        """Similarities of its parts."""
        return embedding_tile(self.image, self.caption)

    def of_chosen(self, chosen: ChosenQueries | None) -> Gallery:
        """What is ranked: the captions of a subset and their images where they are to be a gallery of their own."""
        if chosen is None or chosen.in_whole:
            return self
        captions = chosen.captions
        images, owners = renumbered(self.image_of_caption, captions)
        return replace(
            self,
            image=self.image.map(lambda values: values[images.to(values.device)]),
            caption=self.caption.map(lambda values: values[captions.to(values.device)]),
            image_of_caption=owners,
            texts=[self.texts[row] for row in captions.tolist()],
        )


def say(line: str) -> None:
    """One line for the person at the terminal, from the first process of a run."""
    if is_first_process():
        console.say(line)


def quiet_libraries() -> None:
    """Keep the libraries' notes about hardware, loaders and unused weights out of the output; errors still raise."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "huggingface_hub", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    warnings.filterwarnings("ignore", module=r"pytorch_lightning.*|lightning_fabric.*|torchmetrics.*")
    warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated", category=FutureWarning)
    if not is_first_process():
        warnings.filterwarnings("ignore")  # the first process gives the same ones


def checked_width(data: RetrievalDataModule, protocols: Sequence[str]) -> int:
    """Open and check every split that the run will need, the last one too; the width of the region features.

    Raises:
        UserError: if a split is broken, the splits differ in their features, or a protocol does not fit the test split.
    """
    data.require_three_contents()
    test = data.split("test")
    for protocol in protocols:
        check_protocol(protocol, test.images, test.image_of_caption)
    return data.split("train").features.width


def evaluate_checkpoints(
    checkpoints: Sequence[Path],
    run_dir: Path,
    *,
    strategy: Config,
    seed: int | None = None,
    selection: float | None = None,
    split: str | None = None,
    protocols: Sequence[str] | None = None,
    padding: str | None = None,
    data: Config | None = None,
    embeddings: bool = False,
    answers: int = 0,
    trec: bool = False,
    original: Config | None = None,
    subset: Config | None = None,
    limits: Config | None = None,
) -> dict[str, Any]:
    """Score checkpoints, more than one as an ensemble, print a table and write ``results.json``.

    Args:
        checkpoints: files that :func:`train` wrote.
        run_dir: where results go.
        strategy: accelerator, devices and precision of Lightning's Trainer.
        seed: of the run, ``None`` for that of the first checkpoint.
        selection: the validation figure that chose the checkpoint, for the record of a training run.
        split: its name; ``None`` for each checkpoint's own test split.
        protocols: ``None`` for those of the first checkpoint's data.
        padding: ``None`` as trained.
        data: settings of the data that differ from the checkpoint's; ``None`` values do not count.
        embeddings: also write ``embeddings.safetensors``.
        answers: first answers of every query, in all of the gallery, to keep in ``answers.npz``.
        trec: keep them as files of TREC too.
        original: for the authors' checkpoints: ``vocabulary``, ``bert``, and ``to``, a file to convert one into.
        subset: ``file``, ``of`` and ``gallery`` of a part of the split whose figures are asked for.
        limits: of Lightning's Trainer, as ``limit_test_batches``: figures are then those of a part, and no protocol's.

    Returns:
        what ``results.json`` holds.
    """
    if not checkpoints:
        raise UserError("checkpoints: expected at least one, as checkpoints=RUN")
    if unknown := [protocol for protocol in protocols or () if protocol not in PROTOCOLS]:
        raise UserError(f"protocol: expected one of {', '.join(PROTOCOLS)}, got {unknown[0]!r}")
    models = []
    for path in checkpoints:
        provenance, weights = _read(path, data or {}, original or {})
        models.append((provenance, *_restore(path, provenance, weights, padding, split, data or {})))
    configs = [config for _, _, _, config in models]
    wanted = list(protocols or configs[0]["data"]["protocol"])
    chosen = chosen_queries(subset, models[0][2].split("test"))
    wanted = protocols_of(chosen, wanted, named=protocols is not None, answers=answers)
    _require_one_gallery(models, wanted)
    galleries = [_encode(module, source, strategy, config, limits or {}) for _, module, source, config in models]
    galleries = [gallery.of_chosen(chosen) for gallery in galleries]
    first = galleries[0]
    tile = mean_tile([gallery.tile for gallery in galleries])
    images = len(first.image.views)
    lists = AnswerLists(first.image_of_caption, images, answers) if answers else None
    results = evaluate_chosen(
        tile, first.image_of_caption, images, chosen, ["full"] if first.is_part else wanted, current(), lists
    )
    results = [replace(result, protocol=PART) for result in results] if first.is_part else results
    kept = None if lists is None else lists.lists(current())
    record = _record(results, first.alignment if len(galleries) == 1 else {}, chosen)
    record |= {
        "split": models[0][2].names["test"],
        "checkpoints": [str(path) for path in checkpoints],
        "seed": configs[0]["seed"] if seed is None else seed,
        "padding": padding or configs[0]["padding"],
        "data_root": str(configs[0]["data"]["root"]),
        **environment(),
        "models": [provenance.config for provenance, *_ in models],
    }
    if selection is not None:
        record["selection"] = selection
    if is_first_process():  # files first: a terminal may be gone by now, or unable to show a sign
        if embeddings:
            similarity = full_similarity(tile, images, len(first.image_of_caption))
            pairs = [(gallery.image, gallery.caption) for gallery in galleries]
            save_embeddings(pairs, similarity, first.image_of_caption, run_dir / "embeddings.safetensors")
        if kept is not None:
            save_answers(*kept, first.image_of_caption, run_dir / ANSWERS)
            if trec:
                save_trec(*kept, first.image_of_caption, run_dir)
        _save_ranks(results, first, chosen, run_dir / ranks_file.NAME)
        save_results(record, run_dir / RESULTS)  # last: it says that all else is there
    say(table(results, record))
    return record


def _save_ranks(results: Sequence[RetrievalResult], gallery: Gallery, chosen: ChosenQueries | None, path: Path) -> None:
    owners, texts, whole = gallery.image_of_caption, gallery.texts, ""
    if chosen is not None and chosen.in_whole:
        whole = ranks_file.fingerprint(texts, owners.tolist())
        owners = owners[chosen.captions.to(owners.device)]
        texts = [texts[row] for row in chosen.captions.tolist()]
    ranks_file.save_ranks(results, owners, texts, path, whole)


def _require_one_gallery(models: Sequence[tuple[Any, Any, RetrievalDataModule, Any]], protocols: Sequence[str]) -> None:
    """All that is cheap, before the first model encodes anything."""
    for _, _, source, _ in models:
        shown = source.split("test")
        for protocol in protocols:
            check_protocol(protocol, shown.images, shown.image_of_caption)
        first = models[0][2].split("test")
        if shown.texts != first.texts or not np.array_equal(shown.image_of_caption, first.image_of_caption):
            raise UserError("ensemble: the checkpoints see different captions; pass one data.root for all")


def _read(path: Path, data: Config, original: Config) -> tuple[Provenance, dict[str, Any]]:
    """Record and weights of a checkpoint, ours or the authors'."""
    if not is_original(path):
        return read_checkpoint(path)
    files = {name: None if original.get(name) is None else Path(original[name]) for name in ("vocabulary", "bert")}
    known = {name: value for name, value in data.items() if value is not None and name != "scenes"}
    if "root" not in known:
        raise UserError(f"checkpoint {path}: names no data; pass data=precomputed data.root=DIR")
    provenance, weights = convert(path, files["vocabulary"], files["bert"], known)
    if original.get("to") is not None:
        write_checkpoint(Path(original["to"]), provenance, weights)
        say(f"converted {path} to {original['to']}")
    return provenance, weights


def _restore(
    path: Path, provenance: Provenance, weights: dict[str, Any], padding: str | None, split: str | None, data: Config
) -> tuple[RetrievalModule, RetrievalDataModule, Config]:
    """A checkpoint's module and data, with what is to differ."""
    try:
        module, source, config = _rebuild(path, provenance, weights, padding, split, data)
    except UserError:
        raise
    except Exception as error:  # a record that was changed can break any constructor in any way
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        raise UserError(f"checkpoint {path}: its record describes no model and data ({reason})") from error
    require_trained_on(provenance.extractor, f"the model {path}", source.root)
    source.setup("test")
    width = source.split("test").features.width
    if width != provenance.region_width:
        raise UserError(
            f"features {source.split('test').features.path}: {width} wide, the model was trained on "
            f"{provenance.region_width}; they are of another extraction"
        )
    return module, source, config


def _rebuild(
    path: Path, provenance: Provenance, weights: dict[str, Any], padding: str | None, split: str | None, data: Config
) -> tuple[RetrievalModule, RetrievalDataModule, Config]:
    """:func:`_restore`, before data are read."""
    config = copy.deepcopy(provenance.config)
    config["padding"] = padding or config["padding"]
    config["data"] |= {name: value for name, value in data.items() if value is not None}
    if split is not None:
        config["data"]["test_split"] = split
        # Scoring the split that chose or trained a model is fine where nothing is chosen any more.
        config["data"] |= {"train_split": "(none)", "val_split": "(nothing)"}
    require_described_sizes(path, provenance, weights)
    module, tokenizer = rebuild_module(provenance)
    module.backbone.padding = config["padding"]
    try:
        module.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"checkpoint {path}: weights do not fit its own configuration ({reason})") from error
    return module, build_data(config, tokenizer), config


def _encode(
    module: RetrievalModule, data: RetrievalDataModule, strategy: Config, config: Config, limits: Config
) -> Gallery:
    module.scores_test = False  # it is ranked here, under all protocols and in ensembles
    cache = config["backbone"].get("bert", {}).get("cache")
    at_hand = cache is not None and config["padding"] == "masked" and Path(cache).expanduser().is_dir()
    kept = kept_word_features(config, module, data) if at_hand else []
    trainer = build_trainer(strategy, logger=False, enable_checkpointing=False, callbacks=list(kept), **limits)
    with told_of_loaders():
        trainer.test(module, data, verbose=False)
    image, caption, owners = module.recall.embeddings()
    texts = data.split("test").texts
    if module.recall.is_part:
        texts = [texts[row] for row in module.recall.captions_shown.tolist()]
    return Gallery(image, caption, owners, texts, module.alignment.compute(), module.recall.is_part)


def _record(
    results: Sequence[RetrievalResult], alignment: dict[str, float], chosen: ChosenQueries | None
) -> dict[str, Any]:
    record = results[0].to_dict()
    record["protocols"] = {result.protocol: result.to_dict() for result in results}
    if chosen is not None:
        record["subset"] = chosen.record
    elif alignment:  # of the whole split
        record["alignment"] = alignment
    return record
