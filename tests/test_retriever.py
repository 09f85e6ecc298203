"""The library as a researcher types it: load, encode, compare, search, export."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import selfalign
from selfalign.data.scenes import ensure_scenes
from selfalign.data.text.captions import read_captions
from selfalign.engine.evaluation import evaluate_checkpoints
from selfalign.errors import UserError
from selfalign.retriever import Retriever
from selfalign.runs.checkpoint import read_checkpoint, write_checkpoint
from selfalign.runs.embeddings import Embeddings

ROOT = Path(__file__).parents[1]
NAMES = ("camera", "vsrn", "both")
CPU = {"strategy": "auto", "accelerator": "cpu", "devices": 1, "num_nodes": 1, "precision": "32-true"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trained models, their data, and what eval.py makes of each and of both together."""
    folder = tmp_path_factory.mktemp("retriever")
    ensure_scenes(root=folder / "scenes", seed=0, train=60, dev=10, test=12, progress=lambda line: None)
    for name in ("camera", "vsrn"):
        shutil.copytree(ROOT / "tests" / "old_runs" / name, folder / name)
    for name in NAMES:
        checkpoints = [one / "checkpoints" / "best.ckpt" for one in sources(folder, name)]
        (folder / f"evaluated-{name}").mkdir()
        data = {"root": str(folder / "scenes")}
        evaluate_checkpoints(checkpoints, folder / f"evaluated-{name}", strategy=CPU, data=data, embeddings=True)
    return folder


def sources(folder: Path, name: str) -> list[Path]:
    return [folder / one for one in (NAMES[:2] if name == "both" else [name])]


def encoded(model: Retriever, folder: Path) -> tuple[Embeddings, Embeddings]:
    texts = read_captions(folder / "scenes" / "test_caps.txt")
    return model.encode_images(folder / "scenes", split="test", batch_size=5), model.encode_captions(texts, 7)


@pytest.fixture(scope="module", params=NAMES)
def case(request: pytest.FixtureRequest, folder: Path) -> tuple[str, Retriever, Embeddings, Embeddings]:
    model = selfalign.load(sources(folder, request.param), device="cpu")
    return request.param, model, *encoded(model, folder)


def test_similarities_are_those_of_eval(case: tuple, folder: Path) -> None:
    name, model, images, captions = case
    expected = load_file(folder / f"evaluated-{name}" / "embeddings.safetensors")["similarity"]
    torch.testing.assert_close(model.similarity(images, captions), expected, rtol=0, atol=1e-6)


def test_search_gives_the_first_answers_of_the_similarities_both_ways(case: tuple) -> None:
    _, model, images, captions = case
    scores = model.similarity(images, captions)
    for gallery, queries, table in ((images, captions, scores.T), (captions, images, scores)):
        hits = model.search(gallery, queries, top=5)
        order = table.argsort(dim=1, descending=True, stable=True)[:, :5]
        torch.testing.assert_close(hits.scores, table.gather(1, order), rtol=0, atol=1e-6)
        torch.testing.assert_close(table.gather(1, hits.rows), hits.scores, rtol=0, atol=1e-6)


def test_features_in_memory_are_encoded_like_those_on_disk(case: tuple, folder: Path) -> None:
    _, model, images, _ = case
    kinds = ("ims", "boxes", "img_sizes")
    features, boxes, sizes = (np.load(folder / "scenes" / f"test_{kind}.npy") for kind in kinds)
    again = model.encode_images(features, boxes=boxes, sizes=sizes)
    for one, other in zip(images.parts, again.parts, strict=True):
        torch.testing.assert_close(other.views, one.views, rtol=0, atol=1e-6)


def test_embeddings_come_back_from_their_file_bit_by_bit(case: tuple, tmp_path: Path) -> None:
    _, model, images, captions = case
    scores = model.similarity(images, captions)
    for name, embeddings in (("images", images), ("captions", captions)):
        embeddings.save(tmp_path / name)
    images, captions = Embeddings.load(tmp_path / "images"), Embeddings.load(tmp_path / "captions")
    assert (len(images), len(captions), images.kind, captions.kind) == (12, 60, "images", "captions")
    assert torch.equal(model.similarity(images, captions), scores)


@pytest.mark.parametrize("name", ["camera", "vsrn"])
def test_an_exported_model_is_bit_equal_and_no_pickle(folder: Path, name: str, tmp_path: Path) -> None:
    model = selfalign.load(folder / name, device="cpu")
    model.export(tmp_path / "model", results=folder / f"evaluated-{name}" / "results.json")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "README.md", "config.json", "model.safetensors",
    ]  # fmt: skip
    again = selfalign.load(tmp_path / "model", device="cpu")
    assert again.identities == model.identities
    for one, other in zip(encoded(model, folder), encoded(again, folder), strict=True):
        for name in vars(one.parts[0]):
            ours, theirs = getattr(one.parts[0], name), getattr(other.parts[0], name)
            assert (ours is None and theirs is None) or torch.equal(ours, theirs)
    card = (tmp_path / "model" / "README.md").read_text()
    assert re.search(r"rsum \d+\.\d \(\d+\.\d to \d+\.\d\)", card)
    assert "protocol full, seed " in card
    assert "license: other #" in card


def test_a_card_never_shows_figures_of_another_model(folder: Path, tmp_path: Path) -> None:
    model = selfalign.load(folder / "camera", device="cpu")
    for other in ("vsrn", "both"):
        with pytest.raises(UserError, match="figures of other settings"):
            model.export(tmp_path / "model", results=folder / f"evaluated-{other}" / "results.json")
    assert not (tmp_path / "model").exists()


def test_what_is_exported_does_not_tell_where_things_lay(folder: Path, tmp_path: Path) -> None:
    path = folder / "vsrn" / "checkpoints" / "best.ckpt"
    provenance, weights = read_checkpoint(path)
    provenance.config["data"]["root"] = "/home/somebody/secret/flickr"
    write_checkpoint(tmp_path / "moved.ckpt", provenance, weights)
    model = selfalign.load(tmp_path / "moved.ckpt", device="cpu")
    model.export(tmp_path / "model")
    for name in ("README.md", "config.json"):
        text = (tmp_path / "model" / name).read_text()
        assert "secret" not in text
        assert "flickr" in text
    assert selfalign.load(tmp_path / "model", device="cpu").identities == model.identities


def test_a_caption_is_embedded_alike_alone_and_among_others(case: tuple) -> None:
    model = case[1]
    alone = model.encode_captions(["a very long caption about a red ball and a small box", "a ball"])
    other = model.encode_captions(["a ball"])
    for one, two in zip(alone.parts, other.parts, strict=True):
        torch.testing.assert_close(one.vector[1:], two.vector, rtol=0, atol=1e-6)


def test_embeddings_of_another_model_are_refused(folder: Path) -> None:
    camera, vsrn = (selfalign.load(folder / name, device="cpu") for name in ("camera", "vsrn"))
    images, captions = encoded(camera, folder)
    with pytest.raises(UserError, match="of another model"):
        vsrn.similarity(images, captions)
    with pytest.raises(UserError, match="expected captions"):
        camera.similarity(images, images)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda model: model.encode_captions("one string"), "expected a list of strings"),
        (lambda model: model.encode_captions([]), "at least one"),
        (lambda model: model.encode_captions(["a dog", "  "]), "none of them empty"),
        (lambda model: model.encode_images(np.zeros(3, np.float32), boxes=0, sizes=0), r"\(N, R, F\)"),
        (lambda model: model.encode_images(np.zeros((2, 3, 7), np.float32)), "boxes="),
        (lambda model: model.encode_images("no/such/folder"), "no/such/folder"),
        (lambda model: selfalign.load("no/such.ckpt"), "no/such.ckpt"),
        (lambda model: selfalign.load([]), "at least one model"),
        (lambda model: selfalign.load(Path(__file__).parent), "neither"),
    ],
)
def test_wrong_calls_say_what_is_expected(folder: Path, call, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        call(selfalign.load(folder / "camera", device="cpu"))
    assert "\n" not in str(caught.value)


def test_a_damaged_export_is_one_line(folder: Path, tmp_path: Path) -> None:
    selfalign.load(folder / "vsrn", device="cpu").export(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["backbone.image_tower.project.weight"]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="do not fit"):
        selfalign.load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x10" * 100)
    with pytest.raises(UserError, match="cannot be read"):
        selfalign.load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="not written by selfalign export"):
        selfalign.load(tmp_path)


def test_a_name_at_the_hub_is_downloaded_as_two_files_that_run_no_code(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = selfalign.load(folder / "vsrn", device="cpu")
    model.export(tmp_path / "snapshot")
    asked = []

    def snapshot_download(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, sorted(allow_patterns)))
        return str(tmp_path / "snapshot")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert selfalign.load("somebody/vsrn-v1.5", device="cpu").identities == model.identities
    assert asked == [("somebody/vsrn-v1.5", ["config.json", "model.safetensors"])]
    for local in ("no/such.ckpt", "no/such/folder", "../x", "./no", "single"):
        with pytest.raises(UserError, match=re.escape(local.removeprefix("./"))):
            selfalign.load(local)
    assert len(asked) == 1


def test_a_name_that_the_hub_does_not_give_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(*_: object, **__: object) -> str:
        raise OSError("offline,\nand not in the cache")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(UserError, match=r"nobody/nothing: no such file or folder, and not .* \(offline, and not in"):
        selfalign.load("nobody/nothing")


def test_importing_the_package_costs_no_torch() -> None:
    code = (
        "import selfalign, sys; assert 'torch' not in sys.modules; assert {'load', 'Retriever'} <= set(dir(selfalign))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_arrays_may_be_padded_and_folders_too(folder: Path, tmp_path: Path) -> None:
    """The first images with 36, 20 and 5 regions: as arrays, padded on disk, one after the other, and one by one."""
    counts = np.array([36, 20, 5])
    kinds = {kind: np.load(folder / "scenes" / f"test_{kind}.npy")[:3] for kind in ("ims", "boxes", "img_sizes")}
    most = min(int(kinds["ims"].shape[1]), 36)
    counts = np.minimum(counts, most)
    real = np.arange(kinds["ims"].shape[1]) < counts[:, None]
    for form in ("padded", "offsets"):
        root = tmp_path / form
        root.mkdir()
        for kind, values in kinds.items():
            if kind != "img_sizes":
                values = values * real[..., None] if form == "padded" else values[real]
            np.save(root / f"test_{kind}.npy", values.astype(np.float32))
    np.save(tmp_path / "padded" / "test_num_regions.npy", counts)
    np.save(tmp_path / "offsets" / "test_offsets.npy", np.concatenate([[0], np.cumsum(counts)]))
    for name in ("camera", "vsrn"):
        model = selfalign.load(folder / name, device="cpu")
        single = [
            model.encode_images(
                *(kinds["ims"][[row], :count],), boxes=kinds["boxes"][[row], :count], sizes=kinds["img_sizes"][[row]]
            )
            for row, count in enumerate(counts.tolist())
        ]
        expected = torch.cat([one.parts[0].views for one in single])
        found = [
            model.encode_images(kinds["ims"], boxes=kinds["boxes"], sizes=kinds["img_sizes"], num_regions=counts),
            *(model.encode_images(tmp_path / form) for form in ("padded", "offsets")),
        ]
        for one in found:
            torch.testing.assert_close(one.parts[0].views, expected, rtol=0, atol=1e-6)
        ignored = model.encode_images(kinds["ims"], boxes=kinds["boxes"], sizes=kinds["img_sizes"])
        assert (ignored.parts[0].views[1:] - expected[1:]).abs().max() > 1e-3
    with pytest.raises(UserError, match="expected num_regions from 1 to"):
        model.encode_images(kinds["ims"], num_regions=counts + 99)


def test_one_vector_an_image_goes_to_vsrn(folder: Path) -> None:
    features = np.load(folder / "scenes" / "test_ims.npy")[:, 0]
    model = selfalign.load(folder / "vsrn", device="cpu")
    assert torch.equal(
        model.encode_images(features).parts[0].views, model.encode_images(features[:, None]).parts[0].views
    )
