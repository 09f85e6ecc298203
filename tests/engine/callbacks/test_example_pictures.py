"""The pictures after a validation tell what the model does, and never stop a training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from selfalign.data.datamodule import RetrievalDataModule
from selfalign.engine.callbacks import example_pictures
from selfalign.engine.callbacks.example_pictures import ExamplePictures, caption_table, image_table
from selfalign.engine.modules.retrieval import RetrievalModule
from selfalign.functional.similarity import pair_similarity
from selfalign.reports.pictures.retrieval_sheet import CaptionQuery, ImageQuery
from selfalign.reports.pictures.word_sheet import WordChoices
from tests.engine.modules.test_training import built, trainer


def add_photos(root: Path) -> None:
    (root / "dev_images.txt").write_text("".join(f"{row}.png\n" for row in range(6)))
    for row in range(6):
        Image.new("RGB", (100, 100), (40 * row, 0, 0)).save(root / f"{row}.png")


def validate(root: Path, module: RetrievalModule, data: RetrievalDataModule) -> Path:
    data.setup("fit")
    callback = ExamplePictures(data, module.backbone, module.recall, root / "pictures", None)
    trainer(root, callback).validate(module, data, verbose=False)
    assert module.recall.computed_on is None
    return root / "pictures"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def assert_rank(rank: int, scores: torch.Tensor, right: torch.Tensor) -> None:
    """The rank counted by hand; scores that differ by rounding may stand in either order."""
    above = scores[~right] - scores[right].max()
    assert 1 + int((above > 2e-5).sum()) <= rank <= 1 + int((above > -2e-5).sum())


@pytest.mark.parametrize("backbone", ["camera", "vsrn"])
def test_the_sheets_show_what_the_model_computes(
    scan_folder: Path, backbone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_photos(scan_folder)
    module, data = built(scan_folder, backbone=backbone)
    sheets: dict[str, tuple] = {}
    for name in ("retrieval_sheet", "word_sheet"):
        draw = getattr(example_pictures, name)

        def remembered(*values: Any, name: str = name, draw: Callable[..., Image.Image] = draw) -> Image.Image:
            sheets[name] = values
            return draw(*values)

        monkeypatch.setattr(example_pictures, name, remembered)
    assert names(validate(scan_folder, module, data)) == ["retrieval.png", "words.png"]
    split = data.split("val")
    module.eval()
    with torch.no_grad():
        images = module.backbone.encode_images(split.image_batch(np.arange(6)))
        captions = module.backbone.encode_captions(split.caption_batch(np.arange(30)))
    similarity = pair_similarity(images.embedding, captions.embedding)

    _, caption_queries, image_queries = sheets["retrieval_sheet"]
    query: CaptionQuery
    for query in caption_queries:
        caption = split.texts.index(query.text)
        scores = similarity[:, caption]
        assert query.right.name == f"{caption // 5}.png"
        assert_rank(query.rank, scores, torch.arange(6) == caption // 5)
        best = scores.sort(descending=True).values[:5].tolist()
        assert [answer.score for answer in query.answers] == pytest.approx(best, abs=1e-5)
        for answer in query.answers:
            assert answer.right == (answer.image.name == query.right.name)
            assert answer.score == pytest.approx(float(scores[int(answer.image.name[0])]), abs=1e-5)
    asked: ImageQuery
    for asked in image_queries:
        image = int(asked.image.name.removesuffix(".png"))
        assert_rank(asked.rank, similarity[image], torch.arange(30) // 5 == image)
        assert asked.right.text in split.texts[5 * image : 5 * image + 5]

    _, examples = sheets["word_sheet"]
    example: WordChoices
    assert len(examples) == len(caption_queries)
    for example in examples:
        caption = split.texts.index(example.caption)
        assert captions.concepts is not None
        assert {"a", "the", "."}.isdisjoint(word.word for word in example.words)
        assert example.words
        boxes = np.load(scan_folder / "dev_boxes.npy")[caption // 5] / 100
        shown = {word.word for word in example.words}
        places = [
            split.captions.token_of(caption, n) for n, word in enumerate(example.caption.split()) if word in shown
        ]
        for word, place in zip(example.words, [place for place in places if place is not None], strict=True):
            scores = images.concepts[caption // 5] @ captions.concepts[caption, place]
            assert word.similarity == pytest.approx(float(scores.max()), abs=1e-5)
            assert word.box == pytest.approx(boxes[int(scores.argmax())].tolist())


def test_without_photographs_only_words_of_images_are_shown(scan_folder: Path) -> None:
    module, data = built(scan_folder, backbone="vsrn")
    assert names(validate(scan_folder, module, data)) == ["retrieval.png"]


def test_the_original_vsrn_has_no_words_to_show(scan_folder: Path) -> None:
    add_photos(scan_folder)
    module, data = built(scan_folder, "loss=baseline", backbone="vsrn")
    assert names(validate(scan_folder, module, data)) == ["retrieval.png"]


def test_a_folder_that_cannot_be_written_ends_no_training(
    scan_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (scan_folder / "pictures").write_text("in the way")
    module, data = built(scan_folder, backbone="vsrn")
    validate(scan_folder, module, data)
    assert "cannot be written" in capsys.readouterr().out


def test_a_table_s_columns_hold_photographs_or_words_never_both(scan_folder: Path) -> None:
    add_photos(scan_folder)
    (scan_folder / "2.png").unlink()
    module, data = built(scan_folder, backbone="vsrn")
    data.setup("fit")
    callback = ExamplePictures(data, module.backbone, module.recall, scan_folder / "p", None)
    split, tile = data.split("val"), lambda rows, columns: torch.rand(6, 30)[rows, columns]
    captions = caption_table([callback._caption_query(split, tile, caption) for caption in (0, 7)])
    assert [list(row) for row in captions] == [["caption", "rank", "right image", "1", "2", "3", "4", "5"]] * 2
    assert all(isinstance(row[str(place)], str) for row in captions for place in range(1, 6))
    images = image_table([callback._image_query(split, tile, image) for image in (0, 1)])
    assert all(isinstance(row["image"], Image.Image) for row in images)
