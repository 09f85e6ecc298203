"""``selfalign serve`` in a real browser: type, see five pictures, click one, see its words; by keys; on a telephone."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

import selfalign
from selfalign.data.scenes import ensure_scenes
from selfalign.gallery.writing import write_index
from tests.end_to_end.browser import Page, chromium, opened
from tests.page.hostile import SCRIPT, hostile_copy

ROOT = Path(__file__).parents[2]
PICTURES = "document.querySelectorAll('#pictures img').length"
CHIPS = "document.querySelectorAll('#words button').length"
FOCUS = "document.activeElement.closest('#pictures li') ? "
FOCUS += "[...document.querySelectorAll('#pictures button')].indexOf(document.activeElement) : -1"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server of its own, for a gallery with hostile captions and names."""
    pytest.importorskip("uvicorn", reason="needs the extra demo")
    folder = tmp_path_factory.mktemp("page")
    ensure_scenes(root=folder / "scenes", seed=0, train=60, dev=10, test=12, progress=lambda line: None)
    model = selfalign.load(ROOT / "tests" / "old_runs" / "camera", device="cpu")
    write_index(model, folder / "index", hostile_copy(folder / "scenes", folder / "data"), "test")
    command = [sys.executable, "-m", "selfalign", "serve", str(folder / "index")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        lines = iter(server.stdout.readline, "")
        yield next(line.strip() for line in lines if line.startswith("http://127.0.0.1:"))
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=30) == 0


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    program = chromium()
    if program is None:
        pytest.skip("no Chromium here; apt-get install chromium brings one")
    with opened(program, tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(browser: Page, address: str) -> Iterator[Page]:
    """The page as it opens; in the end nothing was fetched from elsewhere, and nothing failed in it."""
    browser.console.clear()
    browser.requests.clear()
    browser.size(1280, 860)
    browser.open(address)
    browser.wait("document.readyState === 'complete' && document.querySelector('#about')?.textContent")
    yield browser
    hosts = {urlsplit(url).netloc for url in browser.requests}
    assert hosts == {urlsplit(address).netloc}
    assert [line for line in browser.console if "404" not in line] == []
    assert browser.value("window.caught === undefined")


def search(page: Page, sentence: str) -> None:
    page.value("document.querySelector('#sentence').focus(); document.querySelector('#sentence').select()")
    page.type(sentence)
    page.press("Enter")
    page.wait(f"document.querySelector('#told').textContent.includes('of 12 pictures') && {PICTURES} > 2")


def test_type_see_five_pictures_click_one_see_its_words(page: Page) -> None:
    assert page.value("document.activeElement.id") == "sentence"
    page.type("a small red star and a big blue circle")
    page.press("Enter")
    page.wait("document.querySelectorAll('#pictures li').length === 5")
    scores = page.value("[...document.querySelectorAll('#pictures .score')].map((e) => Number(e.textContent))")
    assert scores == sorted(scores, reverse=True)
    page.click("#pictures li:nth-child(2) button")
    page.wait(f"{CHIPS} === 6")
    words = page.value("[...document.querySelectorAll('#words button')].map((e) => e.firstChild.textContent)")
    assert words == ["small", "red", "star", "big", "blue", "circle"]
    assert page.value("document.querySelectorAll('#captions li').length") == 5
    regions = page.value("new Set([...document.querySelectorAll('#words button')].map((e) => e.dataset.region)).size")
    assert page.value("document.querySelectorAll('.region').length") == regions
    page.click("#words button:nth-child(3)")
    assert page.value("document.querySelectorAll('.region:not([hidden])').length") == 1
    assert page.value("document.querySelector('.region.alone:not([hidden]) span').textContent.includes('star')")


def test_an_address_leads_back_to_what_was_seen(page: Page, address: str) -> None:
    search(page, "a small red star")
    page.click("#pictures li:nth-child(3) button")
    page.wait(CHIPS)
    name, there = page.value("document.querySelector('#name').textContent"), page.value("location.href")
    assert "q=a+small+red+star&image=" in there
    page.open("about:blank")
    page.open(there)
    page.wait(f"document.querySelector('#name').textContent === {name!r} && {CHIPS} === 3")
    assert page.value("document.querySelector('#sentence').value") == "a small red star"
    search(page, "two blue balls")
    page.value("history.back()")
    page.wait(f"document.querySelector('#name').textContent === {name!r} && !document.querySelector('#look').hidden")


def test_it_is_used_by_keys_alone(page: Page) -> None:
    search(page, "a small red star")
    page.press("ArrowDown")
    assert page.value(FOCUS) == 0
    page.press("ArrowRight")
    page.press("ArrowRight")
    page.press("ArrowLeft")
    assert page.value(FOCUS) == 1
    width = page.value("getComputedStyle(document.activeElement).outlineWidth")
    assert width == "3px", "the focus is seen"
    page.press("Enter")
    page.wait(f"!document.querySelector('#look').hidden && {CHIPS}")
    page.press("Escape")
    assert page.value("document.querySelector('#look').hidden")
    assert page.value(FOCUS) == 1
    page.press("/")
    assert page.value("document.activeElement.id") == "sentence"
    assert page.value("document.querySelector('#sentence').value") == "a small red star"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_is_read_on_a_telephone(page: Page, address: str, dark: bool) -> None:
    page.size(360, 780, phone=True, dark=dark)
    page.open(f"{address}?q=a+small+red+star&image=9")
    page.wait(f"{CHIPS} && document.querySelectorAll('#pictures li').length === 5")
    assert page.value("document.documentElement.scrollWidth") <= 360
    assert page.value("document.querySelector('#photo').getBoundingClientRect().width") > 250
    heights = page.value("[...document.querySelectorAll('#words button')].map((e) => e.offsetHeight)")
    assert min(heights) >= 36, "a finger hits it"
    colours = page.value("['color', 'backgroundColor'].map((name) => getComputedStyle(document.body)[name])")
    light = [sum(map(int, colour.strip("rgb()").split(","))) for colour in colours]
    assert (light[0] > light[1]) == dark


def test_html_in_captions_and_names_is_shown_as_text(page: Page, address: str) -> None:
    page.open(f"{address}?q={quote(SCRIPT)}&image=0")
    page.wait("document.querySelectorAll('#captions button').length === 5")
    assert page.value("document.querySelector('#captions button').textContent") == SCRIPT
    page.open(f"{address}?q=star&image=2")
    page.wait("document.querySelector('#name').textContent.startsWith('<script>window')")
    assert page.value("document.querySelectorAll('main script, header script').length") == 0


def test_ten_megabytes_in_the_box_get_a_message(page: Page) -> None:
    page.value("document.querySelector('#sentence').value = 'a'.repeat(10_000_000)")
    page.value("document.querySelector('#form').requestSubmit()")
    page.wait("document.querySelector('#told.wrong')?.textContent.includes('this one has 10,000,000')")
    search(page, "a small red star")


def test_ten_megabytes_at_the_door_are_refused_and_others_are_served(address: str) -> None:
    place = urlsplit(address)
    with socket.create_connection((place.hostname, place.port), timeout=20) as line:
        try:
            line.sendall(b"GET /search?q=" + b"a" * 10_000_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert line.recv(12) == b"HTTP/1.1 400"
        except ConnectionError:
            pass  # it does not wait for the rest
    server = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
    started = time.monotonic()
    server.request("GET", "/search?q=a+red+star")
    assert server.getresponse().status == 200
    assert time.monotonic() - started < 5


def test_it_answers_this_machine_only(address: str) -> None:
    assert urlsplit(address).hostname == "127.0.0.1"
    own = [found[4][0] for found in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    for other in {str(one) for one in own if not str(one).startswith("127.")}:
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((other, urlsplit(address).port), timeout=5)
