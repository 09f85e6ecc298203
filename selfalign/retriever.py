"""A trained model as something to use: load, encode, compare, search."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from selfalign.data.images import ImageRows, images_in_memory, images_on_disk
from selfalign.data.regions.positions import grid_of
from selfalign.data.text.tokenizers import WordTokenizer
from selfalign.engine.restoring import Restored, restore
from selfalign.engine.word_choices import WordChoice, word_choices
from selfalign.errors import UserError
from selfalign.functional.masking import among_real
from selfalign.functional.ranks import Tile, full_similarity
from selfalign.functional.search import Hits, first_answers
from selfalign.photographs.trained_on import extractor_of, require_trained_on, require_trained_with
from selfalign.reports.model_card import measured_figures, model_card
from selfalign.runs.embeddings import Embeddings, embeddings_tile, joined_records
from selfalign.runs.exported import portable, write_exported
from selfalign.runs.results import RESULTS
from selfalign.structures import CaptionBatch, CaptionEmbedding, ImageBatch, ImageEmbedding

if TYPE_CHECKING:
    from PIL import Image

    from selfalign.photographs import Extractor

Images = str | Path | np.ndarray | Tensor
"""A folder in SCAN's layout, or the region features themselves, (N, R, F)."""
_PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Retriever:
    """One trained model, or several as an ensemble; made by :func:`load`.

    Args:
        models: at least one; all of an ensemble read the same kind of region features.
        device: of the computations, as ``"cuda"``.
        precision: ``"fp32"``, or ``"bf16"`` or ``"fp16"`` inside the networks; embeddings are fp32 always.
    """

    def __init__(self, models: Sequence[Restored], device: str | torch.device, precision: str = "fp32") -> None:
        if precision not in _PRECISIONS:
            raise UserError(f"precision: expected one of {', '.join(_PRECISIONS)}, got {precision!r}")
        self._models = [(model, model.module.backbone.to(device)) for model in models]
        self.device, self._precision = torch.device(device), _PRECISIONS[precision]
        self.identities = tuple(model.identity for model in models)
        self._trained_on = {model.origin: model.provenance.extractor for model in models}

    @property
    def sources(self) -> tuple[str, ...]:
        """Where each model came from: a file or folder, or a hub's name."""
        return tuple(model.origin for model, _ in self._models)

    @property
    def configs(self) -> list[dict[str, Any]]:
        """The settings that each model was trained with."""
        return [model.provenance.config for model, _ in self._models]

    @torch.inference_mode()
    def encode_captions(self, captions: Sequence[str], batch_size: int = 128) -> Embeddings:
        """Embed captions.

        Args:
            captions: M strings, any text.
            batch_size: captions at a time.

        Returns:
            M rows, in order.

        Raises:
            UserError: if there are none, or one is empty.
        """
        if isinstance(captions, str):
            raise UserError("captions: expected a list of strings, got one string; write [caption]")
        texts = [" ".join(caption.split()) for caption in captions]
        if not texts or not all(texts):
            raise UserError("captions: expected at least one, none of them empty")
        parts = tuple(self._encode_texts(*model, texts, batch_size) for model in self._models)
        return Embeddings(parts, self.identities)

    def _encode_texts(self, model: Restored, backbone: Any, texts: list[str], batch_size: int) -> CaptionEmbedding:
        tokens = model.tokenizer.encode(texts)
        masked = backbone.padding == "masked"  # else an embedding depends on its batch, and on how that is padded
        order = np.argsort(tokens.lengths, kind="stable") if masked else np.arange(len(texts))
        width = None if masked else model.padded_length
        found = []
        for start in range(0, len(texts), batch_size):
            rows = order[start : start + batch_size]
            ids, lengths = tokens.rows(rows, width)
            numbers = torch.from_numpy(rows)
            batch = CaptionBatch(torch.from_numpy(ids), torch.from_numpy(lengths), numbers, numbers)
            found.append(self._on_device(backbone.encode_captions, batch))
        back = torch.from_numpy(order.argsort())
        return joined_records(found).map(lambda values: values[back])

    def encode_images(
        self,
        images: Images,
        *,
        split: str = "test",
        boxes: np.ndarray | Tensor | None = None,
        sizes: np.ndarray | Tensor | None = None,
        num_regions: np.ndarray | Tensor | None = None,
        batch_size: int = 128,
    ) -> Embeddings:
        """Embed images, given as the region features that the model was trained on.

        Args:
            images: a folder in SCAN's layout, or (N, R, F) features of the training data's extractor; (N, F) is one
                vector an image.
            split: of the folder.
            boxes: (N, R, 4), x1 y1 x2 y2 in pixels, beside an array of features; CAMERA needs them, unless it was
                trained on the cells of a grid.
            sizes: (N, 2), width and height of the images in pixels, beside ``boxes``.
            num_regions: (N,), how many of the R regions of each image are real, beside an array of features.
            batch_size: images at a time.

        Returns:
            N rows, in order.

        Raises:
            UserError: if features, boxes and sizes do not fit each other and the model.
        """
        source = self.image_source(images, split=split, boxes=boxes, sizes=sizes, num_regions=num_regions)
        return self.encode_rows(source, range(source.count), batch_size)

    def image_source(
        self,
        images: Images,
        *,
        split: str = "test",
        boxes: np.ndarray | Tensor | None = None,
        sizes: np.ndarray | Tensor | None = None,
        num_regions: np.ndarray | Tensor | None = None,
        box_unit: str | None = None,
    ) -> ImageRows:
        """Images to be encoded some at a time by :meth:`encode_rows`; opened and checked, and left on disk.

        Args:
            images, split, boxes, sizes, num_regions: as of :meth:`encode_images`.
            box_unit: of boxes on disk, ``pixels`` or ``fractions``, or a grid in their place, as ``7x7``; ``None`` for
                that of the model's own data.

        Raises:
            UserError: if they do not fit each other and the model.
        """
        needs_boxes = any(model.needs_boxes for model, _ in self._models)
        unit = box_unit or self.configs[0]["data"].get("boxes", "pixels")
        grid = grid_of(unit)
        if isinstance(images, str | Path):
            source = images_on_disk(Path(images).expanduser(), split, boxes=needs_boxes, box_unit=unit)
        elif not needs_boxes:
            source = images_in_memory(images, num_regions=num_regions)
        elif boxes is not None and sizes is not None:
            source = images_in_memory(images, boxes, sizes, num_regions)
        elif grid is not None:
            source = images_in_memory(images, num_regions=num_regions, grid=grid)
        else:
            raise UserError("images: this model needs boxes=(N, R, 4) and sizes=(N, 2) beside the features")
        for model, _ in self._models:
            if source.width != model.provenance.region_width:
                raise UserError(
                    f"images: regions are {source.width} wide, {model.source} was trained on "
                    f"{model.provenance.region_width}; they are of another extractor"
                )
            if isinstance(images, str | Path):
                require_trained_on(model.provenance.extractor, f"the model {model.origin}", Path(images).expanduser())
        return source

    def extractor(
        self, *, model: str | None = None, detector: str | None = None, device: str | None = None
    ) -> Extractor:
        """What makes the regions of a new photograph, as those of the training data were made.

        Args:
            model: where its vision model is now; ``None`` for where it was.
            detector: the same of its detector.
            device: of the computations; a GPU where there is one by default.

        Raises:
            UserError: if the model was not trained on features of ``selfalign extract``, an ensemble not on features of
                one extractor, or the vision model is not at hand or another one now.
        """
        return extractor_of(self._trained_on, model=model, detector=detector, device=device)

    def encode_photographs(
        self, photographs: Sequence[Image.Image | str | Path], extractor: Extractor, batch_size: int = 128
    ) -> Embeddings:
        """Embed photographs.

        Args:
            photographs: N JPEG or PNG files, or pictures in memory.
            extractor: of :meth:`extractor`.
            batch_size: images at a time.

        Returns:
            N rows, in order.

        Raises:
            UserError: if the extractor is another one, or a photograph cannot be read.
        """
        require_trained_with(self._trained_on, extractor)
        if not photographs:
            raise UserError("photographs: expected at least one")
        found = [extractor.regions(photograph) for photograph in photographs]
        features, boxes = (np.stack([getattr(regions, kind) for regions in found]) for kind in ("features", "boxes"))
        sizes = np.array([regions.size for regions in found])
        return self.encode_images(features, boxes=boxes, sizes=sizes, batch_size=batch_size)

    @torch.inference_mode()
    def encode_rows(self, source: ImageRows, rows: range, batch_size: int = 128) -> Embeddings:
        """Embed some of the images of :meth:`image_source`, as a large gallery is embedded in bounded memory."""
        found: list[list[ImageEmbedding]] = [[] for _ in self._models]
        for start in range(rows.start, rows.stop, batch_size):
            batch = source.batch(np.arange(start, min(start + batch_size, rows.stop)))
            for parts, (_, backbone) in zip(found, self._models, strict=True):
                parts.append(self._on_device(backbone.encode_images, batch))
        return Embeddings(tuple(joined_records(parts) for parts in found), self.identities)

    def _on_device(self, encode: Any, batch: ImageBatch | CaptionBatch) -> Any:
        with torch.autocast(self.device.type, self._precision, enabled=self._precision is not None):
            embedding = encode(batch.to(self.device)).embedding
        embedding = embedding.map(lambda values: values.float().cpu())
        for values in vars(embedding).values():
            if values is not None and not torch.isfinite(values).all():
                raise UserError("embeddings: some values are not finite; the features are broken, or precision too low")
        return embedding

    def similarity(self, images: Embeddings, captions: Embeddings) -> Tensor:
        """(N, M) fp32 similarities, views and context parts included; of an ensemble the mean of its models'."""
        return full_similarity(self._tile(images, captions), len(images), len(captions))

    def search(self, gallery: Embeddings, queries: Embeddings, top: int = 5) -> Hits:
        """The best answers of every query, exact, in bounded memory.

        Args:
            gallery: what is searched: images for captions, or captions for images.
            queries: Q of the other kind.
            top: K answers a query.

        Returns:
            ``rows`` (Q, K) of the gallery and ``scores`` (Q, K), best first.
        """
        if gallery.kind == "images":
            tile = self._tile(gallery, queries)
            return first_answers(lambda rows, columns: tile(columns, rows).mT, len(queries), len(gallery), top)
        return first_answers(self._tile(queries, gallery), len(queries), len(gallery), top)

    def _tile(self, images: Embeddings, captions: Embeddings) -> Tile:
        for name, embeddings in (("images", images), ("captions", captions)):
            if embeddings.kind == name and embeddings.models != self.identities:
                raise UserError(f"{name}: embeddings of another model; encode them with this one")
        return embeddings_tile(images, captions)

    @torch.inference_mode()
    def word_choices(self, caption: str, image: ImageBatch) -> tuple[WordChoice, ...] | None:
        """The region of an image that each word of a caption chose.

        Args:
            caption: any text.
            image: one, as ``image_source(...).batch`` gives it.

        Returns:
            one choice a word, little words left out; of an ensemble those of its first model that has them. ``None``
            where words never have the width of regions: the original VSRN.
        """
        for model, backbone in self._models:
            tokens = model.tokenizer.encode([caption])
            first = np.zeros(1, np.int64)
            ids, lengths = tokens.rows(first, model.padded_length)
            row = torch.from_numpy(first)
            batch = CaptionBatch(torch.from_numpy(ids), torch.from_numpy(lengths), row, row)
            with torch.autocast(self.device.type, self._precision, enabled=self._precision is not None):
                words = backbone.encode_captions(batch.to(self.device)).concepts
                if words is None:
                    continue
                regions = backbone.encode_images(image.to(self.device)).concepts
            similarity = among_real((words @ regions.mT).float().cpu(), image.mask)[0]  # (W, R)
            return word_choices(model.tokenizer.words(caption), partial(tokens.token_of, 0), similarity)
        return None

    def export(self, folder: str | Path, results: str | Path | None = None) -> None:
        """Write the model as a folder for others: ``model.safetensors``, ``config.json`` and a model card.

        Args:
            folder: made where it is missing.
            results: the evaluated run, or its ``results.json``, whose figures go into the card.

        Raises:
            UserError: of an ensemble, whose models are exported one by one, or if the results are of another model.
        """
        if len(self._models) > 1:
            raise UserError("export: expected one model; export those of an ensemble one by one")
        model, _ = self._models[0]
        figures = None
        if results is not None:
            run = Path(results).expanduser()
            figures = measured_figures(run.parent if run.name == RESULTS else run, model.provenance.config)
        weights = {name: values.cpu() for name, values in model.module.state_dict().items()}
        told = portable(model.provenance)
        card = model_card(told.config, told.region_width, figures, told.extractor)
        write_exported(Path(folder).expanduser(), model.provenance, weights, card)

    def export_vocabulary(self, path: str | Path) -> int:
        """Write the words of the model as a file that ``backbone.vocabulary.file`` takes.

        Args:
            path: a JSON file, which must not be there.

        Returns:
            how many there are, the four special ones counted.

        Raises:
            UserError: of an ensemble, of a model whose words are those of a text encoder, or if the file is there.
        """
        tokenizer = self._models[0][0].tokenizer
        if len(self._models) > 1 or not isinstance(tokenizer, WordTokenizer):
            raise UserError("--vocabulary: expected one model with words of its own, as VSRN; others have word pieces")
        tokenizer.vocabulary.save(Path(path).expanduser())
        return len(tokenizer.vocabulary)


def load(source: str | Path | Sequence[str | Path], *, device: str | None = None, precision: str = "fp32") -> Retriever:
    """A trained model, or an ensemble of several.

    Args:
        source: a run folder, a checkpoint, an exported folder, or a hub's ``user/name``; a list is an ensemble.
        device: ``None`` for a GPU where there is one.
        precision: ``"fp32"``, ``"bf16"`` or ``"fp16"`` inside the networks.

    Raises:
        UserError: if a model cannot be read.
    """
    sources = [source] if isinstance(source, str | Path) else list(source)
    if not sources:
        raise UserError("load: expected at least one model, got an empty list")
    return Retriever(
        [restore(one) for one in sources], device or ("cuda" if torch.cuda.is_available() else "cpu"), precision
    )
