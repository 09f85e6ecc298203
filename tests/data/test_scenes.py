"""The built-in data set: reproducible, true, and what it says of boxes holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from selfalign.data.dataset import AlignmentDataset, centres_in, open_split
from selfalign.data.scenes import ensure_scenes, write_scenes, writer
from selfalign.data.scenes.composition import COLOURS, compose
from selfalign.data.scenes.grammar import NOUNS, PLACE_WORDS, SIZE_WORDS, TEXTURE_WORDS, describe
from selfalign.data.scenes.regions import REGIONS, WIDTH, features
from selfalign.data.text.captions import read_captions
from selfalign.data.text.tokenizers import WordPieceTokenizer, WordTokenizer
from selfalign.data.text.vocabulary import Vocabulary
from selfalign.errors import UserError
from selfalign.functional.overlap import box_overlaps

SIZES = {"train": 40, "dev": 5, "test": 15}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(root, seed=3, **SIZES)
    return root


def test_the_same_seed_gives_the_same_files(scenes: Path, tmp_path: Path) -> None:
    write_scenes(tmp_path / "again", seed=3, **SIZES)
    write_scenes(tmp_path / "other", seed=4, **SIZES)
    names = sorted(path.relative_to(scenes) for path in scenes.rglob("*") if path.is_file())
    assert len(names) == 7 * 3 + 60 + 1
    for name in names:
        assert (scenes / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name
    assert (scenes / "test_ims.npy").read_bytes() != (tmp_path / "other" / "test_ims.npy").read_bytes()


def test_a_split_does_not_depend_on_the_size_of_another(scenes: Path, tmp_path: Path) -> None:
    write_scenes(tmp_path / "small", seed=3, train=2, dev=1, test=15)
    assert (tmp_path / "small" / "test_caps.txt").read_bytes() == (scenes / "test_caps.txt").read_bytes()


@pytest.mark.parametrize("split", SIZES)
def test_the_layout_is_scans(scenes: Path, split: str) -> None:
    images = SIZES[split]
    values, boxes = np.load(scenes / f"{split}_ims.npy"), np.load(scenes / f"{split}_boxes.npy")
    assert (values.shape, values.dtype) == ((images, REGIONS, WIDTH), np.float32)
    assert (boxes.shape, boxes.dtype) == ((images, REGIONS, 4), np.float32)
    assert ((boxes[..., 2:] > boxes[..., :2]) & (boxes[..., :2] >= 0) & (boxes[..., 2:] <= 128)).all()
    assert len(read_captions(scenes / f"{split}_caps.txt")) == 5 * images


@pytest.mark.parametrize("turned", [1, -1])
@pytest.mark.parametrize(
    ("right", "down", "place"),
    [(1, 0, 0), (2, 1, 1), (1, 1, 2), (1, 2, 2), (1, 3, 3), (0, 1, 4), (-1, 2, 5), (-1, 1, 6), (-3, 1, 7)],
)
def test_an_edge_that_lies_where_a_direction_begins_is_of_it_on_every_machine(
    right: int, down: int, place: int, turned: int
) -> None:
    row, column = np.mgrid[:32, :32]
    slope = turned * (down * row + right * column)
    pixels = np.zeros((128, 128, 3), np.uint8)
    pixels[:32, :32] = (slope - slope.min())[..., None]
    edges = features(pixels, np.float32([[4, 4, 28, 28]]))[0, 48:120].reshape(9, 8)
    np.testing.assert_allclose(edges[:, place], 10 * np.hypot(down, right) / 255, rtol=1e-6)
    assert np.count_nonzero(edges) == 9


def test_features_come_from_the_pixels_alone(scenes: Path) -> None:
    values, boxes = np.load(scenes / "test_ims.npy"), np.load(scenes / "test_boxes.npy")
    for image in range(3):
        pixels = np.asarray(Image.open(scenes / "images" / f"test_{image:05}.png"))
        np.testing.assert_array_equal(features(pixels, boxes[image]), values[image])


def test_window_means_equal_a_loop_over_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    found = features(pixels, np.float32([[8, 16, 40, 48]]))[0, :3]
    expected = 2 * (pixels[16:24, 8:16].reshape(-1, 3).mean(axis=0) / 255 - 0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_nouns_are_annotated_with_objects_that_fit_all_that_is_said() -> None:
    kinds = {noun: shape for shape, nouns in NOUNS.items() for noun in nouns}
    meanings = [
        *((word, "colour", word) for word in COLOURS),
        *((word, "size", size) for size, words in SIZE_WORDS.items() for word in words),
        *((word, "texture", texture) for texture, words in TEXTURE_WORDS.items() for word in words),
    ]
    said = {word: (field, value) for word, field, value in meanings}
    for seed in range(300):
        random = np.random.default_rng(seed)
        scene = compose(random)
        assert 3 <= len(scene.objects) <= 5
        caption = describe(scene, random)
        words = caption.text.split(" ")
        assert [words[index] for index, _ in caption.meanings] == [word for word in words if word in kinds]
        assert not any(
            phrase in caption.text
            for place, phrases in PLACE_WORDS.items()
            for phrase in phrases
            if place != scene.place
        )
        for index, things in caption.meanings:
            assert things
            for thing in things:
                assert kinds[words[index]] == thing.shape
                before = index - 1
                while words[before] in said:
                    field, value = said[words[before]]
                    before -= 1
                    assert getattr(thing, field) == value


def test_relations_are_true() -> None:
    for seed in range(300):
        random = np.random.default_rng(seed)
        scene = compose(random)
        caption = describe(scene, random)
        for phrase, axis, sign in (("left of", 0, 1), ("right of", 0, -1), ("above", 1, 1), ("below", 1, -1)):
            if f" {phrase} " in caption.text and len(caption.meanings) == 2:
                (_, first), (_, second) = caption.meanings
                assert any(
                    sign * (other.centre[axis] - thing.centre[axis]) > 0 for thing in first for other in second
                ), caption.text


def test_every_annotated_word_has_a_region_on_its_object(scenes: Path) -> None:
    table, boxes = np.load(scenes / "train_alignments.npy"), np.load(scenes / "train_boxes.npy")
    shares = []
    for caption, _, *box in table:
        right = box_overlaps(torch.from_numpy(boxes[int(caption) // 5]), torch.tensor(np.array([box])))[:, 0] >= 0.5
        shares.append(float(right.double().mean()))
    assert min(shares) > 0
    assert 0.05 < np.mean(shares) < 0.15  # what a region drawn at random would reach


@pytest.mark.parametrize("kind", ["words", "pieces"])
def test_tokenizers_find_the_annotated_words(scenes: Path, kind: str) -> None:
    captions = read_captions(scenes / "train_caps.txt")
    tokenizer = (
        WordTokenizer(Vocabulary.build(captions, 1))
        if kind == "words"
        else WordPieceTokenizer.from_captions(captions, 400)
    )
    split = open_split(scenes, "train", tokenizer, boxes=False)
    dataset = AlignmentDataset(split)
    batch = dataset.__getitems__(list(range(len(dataset))))
    nouns = {noun for names in NOUNS.values() for noun in names}
    for row, place in zip(batch.rows.tolist(), batch.words.tolist(), strict=True):
        caption = int(batch.pairs.captions.ids[row])
        word = split.captions.words[split.captions.offsets[caption] + place]
        assert split.texts[caption].split(" ")[word] in nouns
    assert batch.correct.any(dim=1).all()
    said = {*nouns, *COLOURS, *(word for words in (*SIZE_WORDS.values(), *TEXTURE_WORDS.values()) for word in words)}
    for row, place, phrase in zip(batch.rows.tolist(), batch.words.tolist(), batch.phrases, strict=True):
        caption = int(batch.pairs.captions.ids[row])
        numbers = split.captions.words[split.captions.offsets[caption] + phrase.nonzero()[:, 0].numpy()]
        words = [split.texts[caption].split(" ")[number] for number in numbers]
        before = split.texts[caption].split(" ")[numbers[0] - 1]
        assert set(words) <= said
        assert before in ("a", "an")
        assert phrase[place]


def test_a_centre_points_into_the_boxes_that_hold_it() -> None:
    boxes = np.array([[0, 0, 4, 4], [10, 10, 12, 12]], np.float32)
    others = np.array([[1, 1, 3, 3], [0, 0, 1, 9]], np.float32)
    assert centres_in(boxes, others).tolist() == [[True, False], [False, False]]


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writer, "draw", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_scenes(tmp_path / "scenes", **SIZES)
    assert list(tmp_path.iterdir()) == []


def test_scenes_that_are_there_are_used_and_others_refused(scenes: Path, tmp_path: Path) -> None:
    before = (scenes / "train_ims.npy").stat().st_mtime_ns
    ensure_scenes(scenes, seed=3, **SIZES)
    assert (scenes / "train_ims.npy").stat().st_mtime_ns == before
    with pytest.raises(UserError, match="not the scenes asked for"):
        ensure_scenes(scenes, seed=5, **SIZES)
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match="not the scenes asked for"):
        ensure_scenes(tmp_path / "other", seed=5, **SIZES)
    (tmp_path / "other" / "scenes.json").write_text(json.dumps({"format": 1, "seed": 5, **SIZES}))
    with pytest.raises(UserError, match="drawn by another version of selfalign"):
        ensure_scenes(tmp_path / "other", seed=5, **SIZES)
