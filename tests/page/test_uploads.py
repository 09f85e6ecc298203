"""A photograph that somebody shows the page, honest or not."""

from __future__ import annotations

import asyncio
import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="needs the extra demo")
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.testclient import TestClient

import selfalign
from selfalign.gallery.index import Index
from selfalign.gallery.writing import write_index
from selfalign.page import uploads
from selfalign.page.application import HEADERS, PageAnswers, application
from selfalign.photographs import Extractor
from tests.gallery.test_photographs import write_model_of
from tests.page.hostile import png_of, png_with_text
from tests.photographs.extracting import run
from tests.photographs.tiny_models import save_photograph, save_vit

KIND = {"content-type": "application/octet-stream"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of four photographs with captions."""
    place = tmp_path_factory.mktemp("uploads")
    for seed in range(4):
        save_photograph(place / "photos" / f"{seed}.png", seed)
    lines = [f"{seed}.png#{number}\ta red ball {number} <b>{seed}</b>\n" for seed in range(4) for number in range(5)]
    (place / "captions.txt").write_text("".join(lines))
    run(place / "photos", place / "data", save_vit(place / "vit"), "--captions", str(place / "captions.txt"))
    write_model_of(Extractor.of_folder(place / "data", device="cpu"), place / "model.ckpt")
    write_index(selfalign.load(place / "model.ckpt", device="cpu"), place / "index", place / "data", "train")
    return place


@pytest.fixture(scope="module")
def client(place: Path) -> TestClient:
    index = Index.open(place / "index")
    model = index.load_model(device="cpu")
    answers = PageAnswers(index, model, None, place / "photos", model.extractor(device="cpu"))
    return TestClient(application(answers), base_url="http://127.0.0.1", raise_server_exceptions=False)


def test_a_photograph_is_answered_with_the_captions_of_the_index(client: TestClient, place: Path) -> None:
    path = save_photograph(place / "new.jpg", 9)
    found = client.post("/captions", content=path.read_bytes(), headers=KIND)
    assert {name: found.headers[name] for name in HEADERS} == HEADERS
    index, model = Index.open(place / "index"), selfalign.load(place / "model.ckpt", device="cpu")
    hits = index.search(model.encode_photographs([path], model.extractor(device="cpu")), 10)
    answers = found.json()["captions"]
    assert [one["caption"] for one in answers] == [index.captions[row] for row in hits.rows[0].tolist()]
    np.testing.assert_allclose([one["score"] for one in answers], hits.scores[0], atol=1e-6)
    assert [one["row"] for one in answers] == (hits.rows[0] // 5).tolist()
    assert found.json()["size"] == [60, 40]
    assert client.get("/about").json()["largest"] == uploads.LARGEST


def test_a_photograph_is_turned_as_its_exif_data_say(client: TestClient, place: Path) -> None:
    picture, exif, content = Image.open(place / "photos" / "1.png"), Image.Exif(), io.BytesIO()
    exif[0x0112] = 8
    picture.transpose(Image.Transpose.ROTATE_270).save(content, "PNG", exif=exif)
    plain, turned = (
        client.post("/captions", content=one, headers=KIND).json()
        for one in ((place / "photos" / "1.png").read_bytes(), content.getvalue())
    )
    assert turned["size"] == plain["size"] == [60, 40]
    assert turned["captions"] == plain["captions"]


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"", 400, "empty"),
        (b"GIF89a", 400, "neither JPEG nor PNG"),
        (png_of(100_000), 400, "refused unread"),
        (png_of(8_000), 400, "64,000,000 pixels, more than the 50,000,000 allowed"),
        (png_with_text(2**26), 400, "damaged"),
        (b"\xff\xd8" + b"\0" * 200, 400, "neither JPEG nor PNG"),
        (b"\0" * (uploads.LARGEST + 1), 413, "at most 32 MB"),
        ((b"\0" * 2**20 for _ in range(40)), 413, "at most 32 MB"),
    ],
    ids=["empty", "another format", "bomb", "large", "text bomb", "no picture", "huge", "huge, size untold"],
)
def test_what_is_no_photograph_gets_a_message(client: TestClient, content: bytes, status: int, words: str) -> None:
    started = time.monotonic()
    answer = client.post("/captions", content=content, headers=KIND)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert words in answer.json()["error"]
    assert time.monotonic() - started < 5


def test_a_cut_photograph_gets_a_message(client: TestClient, place: Path) -> None:
    whole = save_photograph(place / "new.jpg", 9, size=(600, 400)).read_bytes()
    answer = client.post("/captions", content=whole[: len(whole) // 2], headers=KIND)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("photograph: damaged (")


def test_a_page_of_elsewhere_cannot_send_one(client: TestClient) -> None:
    for kind in ("text/plain", "multipart/form-data", "application/x-www-form-urlencoded"):
        assert client.post("/captions", content=b"x", headers={"content-type": kind}).status_code == 415
    assert client.options("/captions", headers={"origin": "http://evil.example"}).status_code == 405
    assert client.get("/captions").status_code == 405


def test_no_more_than_a_few_are_inside_at_once(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_AT_ONCE", 0)
    assert client.post("/captions", content=b"x", headers=KIND).status_code == 503


def test_one_that_never_arrives_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(30)
        return {}

    monkeypatch.setattr(uploads, "_PATIENCE", 0.05)
    with pytest.raises(HTTPException, match="did not arrive in time"):
        asyncio.run(uploads._arrived(Request({"type": "http", "headers": []}, receive)))


def test_without_its_extractor_the_page_takes_none(place: Path) -> None:
    index = Index.open(place / "index")
    answers = PageAnswers(index, index.load_model(device="cpu"), None)
    client = TestClient(application(answers), base_url="http://127.0.0.1")
    assert client.get("/about").json()["largest"] is None
    assert client.post("/captions", content=b"x", headers=KIND).status_code == 404
