"""What the page's server answers, to honest questions and to others."""

from __future__ import annotations

import io
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="needs the extra demo")
from starlette.testclient import TestClient

from selfalign.gallery.closer_look import CloserLook
from selfalign.gallery.index import Index
from selfalign.gallery.writing import write_index
from selfalign.page.application import HEADERS, LONGEST, PageAnswers, application
from selfalign.retriever import Retriever
from tests.page.hostile import CUT, NAMES, SCRIPT, TEXT, WIDE, hostile_copy

SENTENCE = "a small red star and a big blue circle"


@pytest.fixture(scope="module")
def folder(camera: Retriever, scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hostile data and their index."""
    folder = tmp_path_factory.mktemp("page")
    write_index(camera, folder / "index", hostile_copy(scenes, folder / "data"), "test")
    return folder


@pytest.fixture(scope="module")
def index(folder: Path) -> Index:
    return Index.open(folder / "index")


@pytest.fixture(scope="module")
def client(index: Index, camera: Retriever) -> TestClient:
    return client_of(PageAnswers(index, camera, CloserLook(index, camera)))


def client_of(answers: PageAnswers) -> TestClient:
    return TestClient(application(answers), base_url="http://127.0.0.1", raise_server_exceptions=False)


def test_pictures_are_those_of_the_index_best_first(client: TestClient, index: Index, camera: Retriever) -> None:
    found = client.get("/search", params={"q": f"  {SENTENCE}\n"}).json()
    hits = index.search(camera.encode_captions([SENTENCE]), 5)
    assert [image["row"] for image in found["images"]] == hits.rows[0].tolist()
    assert [image["score"] for image in found["images"]] == pytest.approx(hits.scores[0].tolist(), abs=1e-6)
    assert found["sentence"] == SENTENCE
    assert len(client.get("/search", params={"q": SENTENCE, "top": 12}).json()["images"]) == 12


def test_words_show_the_regions_that_are_most_like_them(
    client: TestClient, camera: Retriever, folder: Path, index: Index
) -> None:
    found = client.get("/image/9", params={"q": SENTENCE}).json()
    assert [word["word"] for word in found["words"]] == ["small", "red", "star", "big", "blue", "circle"]
    source = camera.image_source(folder / "data", split="test")
    choices = camera.word_choices(SENTENCE, source.batch(np.array([9])))
    assert choices is not None
    boxes = np.load(folder / "data" / "test_boxes.npy")[9] / np.tile(
        np.load(folder / "data" / "test_img_sizes.npy")[9], 2
    )
    for word, choice in zip(found["words"], choices, strict=True):
        assert word["box"] == pytest.approx(boxes[choice.region].clip(0, 1).tolist())
        assert word["similarity"] == pytest.approx(choice.similarity)
    assert found["captions"] == index.captions[45:50]
    assert client.get("/image/9").json()["words"] is None


def test_every_answer_forbids_what_is_not_its_own(client: TestClient) -> None:
    for path in ("/", "/static/page.js", "/about", "/search?q=a", "/search", "/nothing", "/image/99", "/photograph/0"):
        answer = client.get(path)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS, path
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_the_page_names_nothing_outside(client: TestClient) -> None:
    for path in ("/", "/static/page.css", "/static/page.js", "/static/icon.svg"):
        text = client.get(path).text.replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert "//" not in text.replace("// ", "").replace("\n//", ""), path
        assert "innerHTML" not in text


def test_html_in_captions_and_names_stays_text(client: TestClient) -> None:
    answer = client.get("/image/0", params={"q": SCRIPT})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["captions"][0] == SCRIPT
    assert client.get("/image/2").json()["name"] == f"images/{NAMES[2]}"


@pytest.mark.parametrize("row", range(len(NAMES)))
def test_photographs_of_any_name_are_shown(client: TestClient, row: int) -> None:
    answer = client.get(f"/photograph/{row}")
    assert answer.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).width > 50


@pytest.mark.parametrize("row", [CUT, WIDE, TEXT])
def test_photographs_that_are_none_are_said_to_be_missing(client: TestClient, row: int) -> None:
    started = time.monotonic()
    answer = client.get(f"/photograph/{row}")
    assert (answer.status_code, list(answer.json())) == (404, ["error"])
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "path",
    [
        "/photograph/../../../../etc/passwd",
        "/photograph/..%2f..%2f..%2fetc%2fpasswd",
        "/photograph/%2e%2e/index.json",
        "/photograph/test_00001.png",
        "/photograph/-1",
        "/photograph/12",
        "/photograph/999999999999999999999999",
        "/photograph/1e1",
        "/photograph/\u0663",
        "/photograph/1%00",
        "/static/..%2fapplication.py",
        "/static/%2e%2e/application.py",
        "/static//etc/passwd",
        "/image/x",
        "/index.json",
    ],
)
def test_nothing_but_the_index_is_handed_out(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (400, 404)
    assert b"root:" not in answer.content
    assert b"import" not in answer.content


def test_a_name_that_leaves_the_folder_is_never_read(
    folder: Path, index: Index, camera: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (9, 9)).save(folder / "secret.png")
    monkeypatch.setattr(index, "_names", ["../secret.png"] * 12)
    answer = client_of(PageAnswers(index, camera, None)).get("/photograph/3")
    assert answer.status_code == 400
    assert "leaves the folder" in answer.json()["error"]


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("", 400, "Type a sentence"),
        ("q=%20%0a", 400, "Type a sentence"),
        (f"q={'a' * (LONGEST + 1)}", 413, "at most 1,000 characters; this one has 1,001"),
        (f"q={'a' * 60_000}", 413, "60,000"),
        ("q=a&top=0", 400, "from 1 to 100"),
        ("q=a&top=101", 400, "from 1 to 100"),
        ("q=a&top=many", 404, "number"),
    ],
)
def test_bad_questions_get_a_message(client: TestClient, query: str, status: int, words: str) -> None:
    answer = client.get(f"/search?{query}")
    assert answer.status_code == status
    assert words in answer.json()["error"]


@pytest.mark.parametrize("sentence", ["a" * LONGEST, "\x00\x1b[31m", "🐕 ‮", "?" * 50, "%", "' OR 1=1 --"])
def test_any_sentence_is_answered(client: TestClient, sentence: str) -> None:
    assert len(client.get("/search", params={"q": sentence}).json()["images"]) == 5
    assert client.get("/image/3", params={"q": sentence}).status_code == 200


def test_a_page_of_elsewhere_cannot_ask(client: TestClient) -> None:
    assert client.get("/about", headers={"host": "evil.example"}).status_code == 400
    assert client.get("/about", headers={"host": "localhost:8000"}).status_code == 200
    assert client.post("/search?q=a", content=b"x" * 10**6).status_code == 405


def test_clients_at_once_use_the_model_one_after_the_other(
    index: Index, camera: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, busy, most = index.search, threading.Lock(), []

    def slow(*arguments: Any) -> Any:
        most.append(busy.acquire(blocking=False))
        time.sleep(0.05)
        busy.release()
        return search(*arguments)

    monkeypatch.setattr(index, "search", slow)
    client = client_of(PageAnswers(index, camera, None))
    sentences = [f"a {colour} star" for colour in ("red", "blue", "green", "grey")]
    with ThreadPoolExecutor(4) as clients:
        found = list(clients.map(lambda text: client.get("/search", params={"q": text}).json(), sentences))
    assert most == [True] * 4
    assert [answer["sentence"] for answer in found] == sentences
    alone = [search(camera.encode_captions([text]), 5).rows[0].tolist() for text in sentences]
    assert [[image["row"] for image in answer["images"]] for answer in found] == alone


def test_words_are_left_out_with_the_reason(index: Index, camera: Retriever, monkeypatch: pytest.MonkeyPatch) -> None:
    look = CloserLook(index, camera)
    monkeypatch.setattr(camera, "word_choices", lambda *_: None)
    for one, reason in ((None, "not where they were"), (look, "cannot be compared with regions")):
        found = client_of(PageAnswers(index, camera, one)).get("/image/3", params={"q": SENTENCE}).json()
        assert found["words"] is None
        assert reason in found["note"]
        assert len(found["captions"]) == 5


def test_words_never_speak_of_features_that_changed_since(
    folder: Path, index: Index, camera: Retriever, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(folder / "data", data)
    features = np.load(data / "test_ims.npy")
    np.save(data / "test_ims.npy", features[::-1])
    client = client_of(PageAnswers(index, camera, CloserLook(index, camera, data)))
    found = client.get("/image/3", params={"q": SENTENCE}).json()
    assert found["words"] is None
    assert "image 3 is not the one that was indexed" in found["note"]


def test_a_bug_is_no_traceback_in_the_page(index: Index, camera: Retriever, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("secret state")

    monkeypatch.setattr(index, "search", broken)
    answer = client_of(PageAnswers(index, camera, None)).get("/search", params={"q": "a"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]
