"""ECCV Caption and CxC: known figures of known rankings, our recalls by another program, and rows that are proven."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from selfalign.__main__ import main
from selfalign.errors import UserError
from selfalign.functional.lists import answer_lists
from selfalign.metrics.protocols import evaluate
from selfalign.reports.eccv.gallery_ids import GalleryIds, gallery_ids
from selfalign.reports.eccv.judging import by_ids, intervals, judge, require_same_recalls
from selfalign.reports.eccv.official import Figures, Lists, Official
from selfalign.runs.answers_file import KeptAnswers, save_answers
from selfalign.runs.ranks_file import fingerprint
from selfalign.runs.reading import read_run
from tests.reports.eccv import coco
from tests.runs.made_runs import write_run

pytest.importorskip("eccv_caption", reason="eccv_caption is not installed: pip install 'selfalign[eccv]'")

QUERIES = fingerprint(coco.TEXTS, coco.OWNERS.tolist())


@pytest.fixture(scope="module")
def official() -> Official:
    return Official.load()


@pytest.fixture(scope="module")
def data(official: Official, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coco.write_data(tmp_path_factory.mktemp("coco") / "data", official)


@pytest.fixture(scope="module")
def flawless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coco.write_perfect(tmp_path_factory.mktemp("runs") / "perfect")


def ascending(official: Official) -> list[int]:
    return [one for five in official.caption_ids for one in five]


def extended(official: Official, rows: tuple[np.ndarray, np.ndarray], captions: list[int]) -> Figures:
    """ECCV Caption's figures: they need the answers of its own queries only."""
    images = np.array(official.image_ids)
    lists = (
        {query: answers[found].tolist() for query, found in zip(queries, of_side, strict=True) if query in right}
        for queries, answers, of_side, right in (
            (official.image_ids, np.array(captions), rows[0], official.right["i2t"]),
            (captions, images, rows[1], official.right["t2i"]),
        )
    )
    return official.figures(Lists(*lists), recalled=())


def test_a_ranking_perfect_on_coco_finds_a_third_and_a_seventh_of_eccv_caption(official: Official) -> None:
    wrong = list(range(-1, -60, -1))
    fives = dict(zip(official.image_ids, official.caption_ids, strict=True))
    lists = Lists(
        {image: [*five, *wrong] for image, five in fives.items()},
        {caption: [image, *wrong] for image, five in fives.items() for caption in five},
    )
    found = official.figures(lists, recalled=())["eccv"]
    assert found["i2t"]["map_at_r"] == pytest.approx(31.277, abs=0.001)
    assert found["t2i"]["map_at_r"] == pytest.approx(13.587, abs=0.001)
    assert found["i2t"]["r1"] > 99.9  # a caption of COCO that annotators found wrong stands first for one image
    assert found["t2i"]["r1"] == 100


def test_a_random_ranking_finds_next_to_nothing(official: Official) -> None:
    found = extended(official, coco.random(), ascending(official))["eccv"]
    assert all(0 <= value < 0.5 for side in found.values() for value in side.values())


def test_intervals_hold_the_figures_and_follow_from_the_seed(official: Official) -> None:
    ids = GalleryIds(official.image_ids, ascending(official), "")
    lists = by_ids(KeptAnswers(*coco.perfect(), coco.OWNERS), ids)
    figures = official.figures(lists, recalled=())
    one, again, other = (intervals(official, lists, figures, ids, draws=500, seed=seed) for seed in (1, 1, 2))
    for side in ("i2t", "t2i"):
        low, high = one[side]["map_at_r"]
        assert low < figures["eccv"][side]["map_at_r"] < high < low + 2
    assert one == again != other
    wrong = {"eccv": figures["eccv"] | {"t2i": dict(figures["eccv"]["t2i"], r1=99.0)}}
    with pytest.raises(UserError, match=r"computes other figures than version 0\.1\.0"):
        intervals(official, lists, wrong, ids, draws=500, seed=1)


def test_the_package_finds_our_recalls_under_ties(
    official: Official, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """5,000 × 25,000 similarities, whole numbers, so that many queries have right and wrong answers of one score."""
    random = torch.Generator().manual_seed(1)
    images = torch.randint(-3, 4, (coco.IMAGES, 16), generator=random).float()
    captions = images.repeat_interleave(5, 0) + torch.randint(-3, 4, (coco.CAPTIONS, 16), generator=random)
    owners = torch.from_numpy(coco.OWNERS).long()

    def tile(rows: slice, columns: slice) -> torch.Tensor:
        return images[rows] @ captions[columns].mT

    results = [evaluate(tile, owners, coco.IMAGES, protocol) for protocol in ("full", "coco_1k_5fold")]
    assert 5 < results[0].i2t.r10 < 95
    run = write_run(tmp_path / "run", results=results, texts=coco.TEXTS, split="testall")
    save_answers(*answer_lists(tile, owners, coco.IMAGES, 500), owners, run / "answers.npz")
    assert main(["eccv", str(run), "--data", str(data)]) == 0
    record = json.loads((run / "eccv.json").read_text())
    for name, ours in zip(("coco_5k", "coco_1k"), results, strict=True):
        for side in ("i2t", "t2i"):
            recalls = record["figures"][name][side]
            assert recalls == pytest.approx({key: getattr(ours, side).figures[key] for key in recalls}, abs=1e-9)
    assert record["equal_to_results"] == ["full", "coco_1k_5fold"]
    assert record["queries"]["eccv"] == {"i2t": 1261, "t2i": 1332}
    assert record["queries"]["cxc"] == {"i2t": 5000, "t2i": 24972}
    assert record["figures"]["cxc"]["t2i"]["r1"] >= record["figures"]["coco_5k"]["t2i"]["r1"]
    assert record["caption_order"] == "assumed: ascending"
    printed = capsys.readouterr().out
    assert "assumed to be in ascending order" in printed
    assert "equal to results.json: the recalls of full and coco_1k_5fold" in printed


def test_answers_of_another_evaluation_are_refused(flawless: Path) -> None:
    alike = {
        name: {side: {f"r{k}": 100.0 for k in (1, 5, 10)} for side in ("i2t", "t2i")} for name in ("coco_5k", "cxc")
    }
    run = read_run(flawless)  # which was evaluated under one protocol
    require_same_recalls(run, alike)
    alike["coco_5k"]["t2i"]["r5"] = 99.996  # one caption of 25,000
    with pytest.raises(UserError, match=r"finds R@5 of t2i under full to be 99\.9960, results\.json says 100\.0000"):
        require_same_recalls(run, alike)


def test_captions_shuffled_inside_images_give_the_same_figures_where_their_ids_are_told(
    official: Official, tmp_path: Path
) -> None:
    i2t, t2i = coco.perfect()
    i2t[:, :5] = i2t[:, [4, 2, 0, 1, 3]]
    t2i[::5] = coco.random()[1][::5]  # the captions of an image differ in what they find
    told = extended(official, (i2t, t2i), ascending(official))
    generator = np.random.default_rng(5)
    new = np.concatenate([5 * image + generator.permutation(5) for image in range(coco.IMAGES)])  # row → old row
    shuffled = (np.argsort(new).astype(np.int32)[i2t], t2i[new])
    captions = np.array(ascending(official))[new].tolist()
    texts = [coco.TEXTS[row] for row in new.tolist()]
    queries = fingerprint(texts, coco.OWNERS.tolist())
    folder = coco.write_data(tmp_path / "data", official, texts, repeat=5)
    assumed = gallery_ids(folder, "testall", official, queries)
    assert assumed.order == "assumed: ascending"
    assert extended(official, shuffled, assumed.captions) != told
    coco.write_annotations(folder, ascending(official), coco.TEXTS)
    annotated = gallery_ids(folder, "testall", official, queries)
    assert (annotated.captions, annotated.order) == (captions, "captions_val2014.json")
    coco.write_ids(folder, captions, "capids")
    numbered = gallery_ids(folder, "testall", official, queries)
    assert (numbered.captions, numbered.order) == (captions, "testall_capids.txt")
    assert extended(official, shuffled, numbered.captions) == told


def test_captions_of_one_image_that_say_the_same_are_told_apart_by_nobody(official: Official, tmp_path: Path) -> None:
    texts = ["A dog." if row < 5 else text for row, text in enumerate(coco.TEXTS)]
    folder = coco.write_data(tmp_path / "data", official, texts)
    coco.write_annotations(folder, ascending(official), texts)
    found = gallery_ids(folder, "testall", official, fingerprint(texts, coco.OWNERS.tolist()))
    assert found.captions == ascending(official)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ids: ids[1:2] + ids[:1] + ids[2:], "row 0 is image 60623, expected image 391895"),
        (lambda ids: ids[:4999], "4,999 images; COCO's test split"),
        (lambda ids: list(range(5000)), "row 0 is no id of COCO, expected image 391895"),
        (lambda ids: [*ids[:9], "a\x1b[31m", *ids[10:]], "row 9 is no id of COCO"),
        (None, "no such file; it has to say which image of COCO each row is"),
    ],
    ids=["another order", "fewer", "row numbers", "no number", "none"],
)
def test_rows_that_are_not_proven_to_be_cocos_are_refused(
    official: Official, tmp_path: Path, change: object, message: str
) -> None:
    folder = coco.write_data(tmp_path / "data", official)
    (folder / "testall_ids.txt").unlink()
    if change is not None:
        coco.write_ids(folder, change(official.image_ids))
    with pytest.raises(UserError, match=message) as refused:
        gallery_ids(folder, "testall", official, QUERIES)
    assert "\n" not in str(refused.value)


def test_names_of_pictures_are_ids_too(official: Official, tmp_path: Path) -> None:
    folder = coco.write_data(tmp_path / "data", official)
    coco.write_ids(folder, [f"COCO_val2014_{image:012}.jpg" for image in official.image_ids])
    assert gallery_ids(folder, "testall", official, QUERIES).images == official.image_ids


def test_captions_that_are_not_those_of_their_image_are_refused(official: Official, tmp_path: Path) -> None:
    folder = coco.write_data(tmp_path / "data", official)
    captions = ascending(official)
    coco.write_annotations(folder, captions[1:] + captions[:1], coco.TEXTS)
    with pytest.raises(UserError, match=r"line 5 is no caption of image 391895 in captions_val2014\.json"):
        gallery_ids(folder, "testall", official, QUERIES)
    for wrong, line in ((captions[:3] + captions[2:3] + captions[4:], 1), (captions[5:] + captions[:5], 1)):
        coco.write_ids(folder, wrong, "capids")
        with pytest.raises(UserError, match=f"line {line}, .* five captions of image 391895"):
            gallery_ids(folder, "testall", official, QUERIES)
    coco.write_ids(folder, captions[:-1], "capids")
    with pytest.raises(UserError, match="24,999 ids, expected 25,000"):
        gallery_ids(folder, "testall", official, QUERIES)


def test_a_folder_of_other_captions_than_those_evaluated_is_refused(
    official: Official, flawless: Path, tmp_path: Path
) -> None:
    folder = coco.write_data(tmp_path / "data", official, [*coco.TEXTS[:-1], "Another."])
    with pytest.raises(UserError, match=r"testall_caps\.txt: not those that were evaluated"):
        judge(flawless, folder)


def test_lists_that_are_too_short_are_refused(official: Official, data: Path, tmp_path: Path) -> None:
    run = coco.write_perfect(tmp_path / "run", depth=499)
    with pytest.raises(UserError, match=r"keeps 499 answers a query, expected at least 500; .*save_answers=500"):
        judge(run, data)


def test_lists_without_ten_answers_of_the_querys_own_fold_are_refused(data: Path, tmp_path: Path) -> None:
    run = coco.write_perfect(tmp_path / "run")
    i2t, t2i = coco.perfect()
    t2i[9, 1:] = np.arange(4000, 4499)
    coco.write_answers(run, i2t, t2i)
    with pytest.raises(UserError, match=r"of the 500 answers of caption 9, 1 are of its fold .*save_answers=1000"):
        judge(run, data)


def test_other_evaluations_are_refused(flawless: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="an evaluation of the split testall, not of test5k"):
        judge(flawless, data, "test5k")
    small = write_run(tmp_path / "small", split="testall")
    with pytest.raises(UserError, match=r"keeps no answers; python eval\.py .* save_answers=500"):
        judge(small, data)
    owners = (np.arange(300) // 5).astype(np.int32)
    np.savez(
        small / "answers.npz",
        i2t_rows=np.tile(np.arange(300, dtype=np.int32), (60, 1)),
        t2i_rows=np.tile(np.arange(60, dtype=np.int32), (300, 1)),
        image_of_caption=owners,
    )
    with pytest.raises(UserError, match="60 images and 300 captions; ECCV Caption is about COCO's 5,000 test images"):
        judge(small, data)


def test_without_the_package_one_line_says_how_to_get_it(
    flawless: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "eccv_caption", None)
    with pytest.raises(
        SystemExit, match=r"^error: eccv: eccv_caption is not installed; pip install 'selfalign\[eccv\]'$"
    ):
        main(["eccv", str(flawless), "--data", str(data)])


def test_a_missing_folder_is_told_by_the_command_s_own_option(flawless: Path) -> None:
    with pytest.raises(SystemExit, match=r"^error: --data nowhere: no such folder"):
        main(["eccv", str(flawless), "--data", "nowhere"])
