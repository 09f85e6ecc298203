"""After each validation: what was found for a few fixed queries, and which region each word chose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger

from selfalign.backbones.base import TwoTower
from selfalign.data.datamodule import RetrievalDataModule
from selfalign.data.dataset import Split
from selfalign.data.ownership import captions_of_images
from selfalign.data.photographs import Photos
from selfalign.data.regions.positions import positions_at_hand
from selfalign.engine.callbacks.terminal import tell
from selfalign.engine.callbacks.wandb_run import Cell, log_examples
from selfalign.engine.word_choices import word_choices
from selfalign.files.whole_files import whole_file
from selfalign.functional.answers import best_answers
from selfalign.functional.masking import among_real
from selfalign.functional.ranks import Tile, embedding_tile
from selfalign.metrics.recall import CrossModalRecall
from selfalign.reports.pictures.retrieval_sheet import (
    CaptionAnswer,
    CaptionQuery,
    ImageAnswer,
    ImageQuery,
    Shown,
    retrieval_sheet,
)
from selfalign.reports.pictures.word_sheet import ChosenRegion, WordChoices, word_sheet

_QUERIES = 4
"""Of each direction."""
_DEPTH = 5


class ExamplePictures(pl.Callback):
    """Writes ``retrieval.png`` and ``words.png`` of the last validation, and gives both to W&B and TensorBoard.

    The queries are spread evenly over the validation split, the same ones each time. Images without a photograph are
    shown as their first caption. ``words.png`` needs photographs, boxes, and a model whose words have the width of
    regions (all but the original VSRN); without them there is none. W&B also gets the queries as tables.

    Args:
        data: of the run.
        backbone: the two towers that are trained.
        recall: of the validation, which all processes compute.
        folder: for the pictures, made when there are some.
        images: folder of the photographs; ``None`` looks into the data set's own.

    Raises:
        UserError: if ``images`` is given and is not the folder of the validation split's photographs.
    """

    def __init__(
        self,
        data: RetrievalDataModule,
        backbone: TwoTower,
        recall: CrossModalRecall,
        folder: Path,
        images: Path | None,
    ) -> None:
        self.data, self.backbone, self.recall, self.folder = data, backbone, recall, folder
        split = data.split("val")
        self.photos = Photos(split.files, images)
        self._own = captions_of_images(split.image_of_caption, split.images)
        described = np.unique(split.image_of_caption)
        places = described[np.unique(np.linspace(0, len(described) - 1, 2 * _QUERIES).round().astype(int))].tolist()
        captions = [int(self._own[image][number % len(self._own[image])]) for number, image in enumerate(places)]
        self.captions = captions[::2]
        self.images = places[1::2] or places
        if images is not None:
            for image in (*split.image_of_caption[self.captions].tolist(), *self.images):
                self.photos.require(image)

    @torch.no_grad()
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.recall.computed_on is None or not trainer.is_global_zero:
            return
        tile = embedding_tile(*self.recall.computed_on)
        split = self.data.split("val")
        captions = [self._caption_query(split, tile, query) for query in self.captions]
        images = [self._image_query(split, tile, query) for query in self.images]
        when = f"Validation at step {trainer.global_step:,}, epoch {trainer.current_epoch + 1}"
        gallery = f"{split.images:,} images, {len(split.captions):,} captions"
        pictures = {"retrieval": retrieval_sheet(f"{when}: {gallery}", captions, images)}
        with trainer.precision_plugin.forward_context():
            choices = self._word_choices(split, pl_module.device)
        if choices:
            pictures["words"] = word_sheet(when, choices)
        self._write(trainer, pictures)
        _log(
            trainer, pictures, {"caption_to_images": caption_table(captions), "image_to_captions": image_table(images)}
        )

    def _write(self, trainer: pl.Trainer, pictures: dict[str, Image.Image]) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, picture in pictures.items():
                with whole_file(self.folder / f"{name}.png") as place:
                    picture.save(place, "PNG")
        except OSError as error:  # no reason to end a training
            tell(trainer, f"pictures {self.folder}: cannot be written ({error.strerror})")

    def _shown(self, split: Split, image: int) -> Shown:
        words = split.texts[self._own[image][0]] if len(self._own[image]) else "no caption"
        return Shown(self.photos.name(image), self.photos.read(image), words)

    def _caption_query(self, split: Split, tile: Tile, caption: int) -> CaptionQuery:
        scores = tile(slice(0, split.images), slice(caption, caption + 1))[:, 0].cpu()
        owner = int(split.image_of_caption[caption])
        found = best_answers(scores, torch.arange(split.images) == owner, _DEPTH)
        answers = tuple(
            ImageAnswer(self._shown(split, image), score, image == owner)
            for image, score in zip(found.best.tolist(), found.scores.tolist(), strict=True)
        )
        return CaptionQuery(split.texts[caption], answers, self._shown(split, owner), int(found.rank))

    def _image_query(self, split: Split, tile: Tile, image: int) -> ImageQuery:
        scores = tile(slice(image, image + 1), slice(0, len(split.captions)))[0].cpu()
        right = torch.from_numpy(split.image_of_caption == image)
        found = best_answers(scores, right, _DEPTH)
        answers = tuple(
            CaptionAnswer(split.texts[caption], score, bool(right[caption]))
            for caption, score in zip(found.best.tolist(), found.scores.tolist(), strict=True)
        )
        best = int(found.best_right)
        right_answer = CaptionAnswer(split.texts[best], float(scores[best]), True)
        return ImageQuery(self._shown(split, image), answers, right_answer, int(found.rank))

    def _word_choices(self, split: Split, device: torch.device) -> list[WordChoices]:
        positions = split.positions or positions_at_hand(split.files, split.features, split.box_unit)
        if positions is None:
            return []
        photos = [self.photos.read(image) for image in split.image_of_caption[self.captions].tolist()]
        if all(photo is None for photo in photos):
            return []
        rows = np.asarray(self.captions, np.int64)
        batch = split.pair_batch(rows).to(device)
        words = self.backbone.encode_captions(batch.captions).concepts
        if words is None:
            return []
        regions = self.backbone.encode_images(batch.images).concepts
        similarity = among_real((words @ regions.mT).float(), batch.images.mask).cpu()  # (B, W, R)
        boxes, sizes = positions.raw(split.image_of_caption[rows])
        shares = boxes / np.tile(sizes, 2)[:, None]  # (B, R, 4)
        return [
            WordChoices(split.texts[caption], photo, self._choices(split, caption, similarity[row], shares[row]))
            for row, (caption, photo) in enumerate(zip(self.captions, photos, strict=True))
            if photo is not None
        ]

    def _choices(
        self, split: Split, caption: int, similarity: torch.Tensor, boxes: np.ndarray
    ) -> tuple[ChosenRegion, ...]:
        """Choices of the (W, R) similarities of a caption's tokens."""
        words = self.data.tokenizer.words(split.texts[caption])
        choices = word_choices(words, lambda word: split.captions.token_of(caption, word), similarity)
        found = []
        for choice in choices:
            x1, y1, x2, y2 = boxes[choice.region].tolist()
            found.append(ChosenRegion(choice.word, (x1, y1, x2, y2), choice.similarity))
        return tuple(found)


def caption_table(queries: Sequence[CaptionQuery]) -> list[dict[str, Cell]]:
    """One row a query; images as photographs where all have one, else as words."""
    shown = [image for query in queries for image in (query.right, *(answer.image for answer in query.answers))]
    photos = all(image.photo is not None for image in shown)
    rows = []
    for query in queries:
        row: dict[str, Cell] = {"caption": query.text, "rank": query.rank, "right image": _cell(query.right, photos)}
        for place, answer in enumerate(query.answers, start=1):
            row[str(place)] = _cell(answer.image, photos)
        rows.append(row)
    return rows


def image_table(queries: Sequence[ImageQuery]) -> list[dict[str, Cell]]:
    """One row a query."""
    photos = all(query.image.photo is not None for query in queries)
    rows = []
    for query in queries:
        row: dict[str, Cell] = {
            "image": _cell(query.image, photos),
            "rank": query.rank,
            "best right caption": query.right.text,
        }
        for place, answer in enumerate(query.answers, start=1):
            row[str(place)] = f"{'✓ ' if answer.right else ''}{answer.text} ({answer.score:.2f})"
        rows.append(row)
    return rows


def _cell(image: Shown, photos: bool) -> Cell:
    return image.photo if photos and image.photo is not None else f"{image.name}: {image.words}"


def _log(trainer: pl.Trainer, pictures: dict[str, Image.Image], tables: dict[str, list[dict[str, Cell]]]) -> None:
    step = trainer.global_step - 1  # Lightning counts the steps of its series from 0
    named = {f"examples/{name}": picture for name, picture in pictures.items()}
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            log_examples(logger, step, {f"examples/{name}": rows for name, rows in tables.items()}, named)
        elif isinstance(logger, TensorBoardLogger):
            for name, picture in named.items():
                logger.experiment.add_image(name, np.asarray(picture), step, dataformats="HWC")
