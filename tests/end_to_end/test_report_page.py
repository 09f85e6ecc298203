"""``selfalign report`` in a real browser: nothing is fetched, nothing runs, everything is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfalign.reports.html.contents import report
from selfalign.reports.html.page import page
from selfalign.runs.reading import read_runs
from tests.end_to_end.browser import chromium, opened
from tests.reports.html.made_reports import full_run, hostile_data


def test_the_page_opens_without_a_request_or_an_error(tmp_path: Path) -> None:
    program = chromium()
    if program is None:
        pytest.skip("no Chromium here; apt-get install chromium brings one")
    data = hostile_data(tmp_path)
    runs = [full_run(tmp_path / f"run{seed}", data, seed) for seed in (1, 2)]
    file = tmp_path / "report.html"
    file.write_text(page(report(read_runs(runs)), "selfalign report", "1.0"), encoding="utf-8")
    with opened(program, tmp_path / "profile") as tab:
        for phone in (False, True):
            tab.size(390 if phone else 1280, 840, phone=phone, dark=phone)
            tab.open(file.as_uri())
            tab.wait("document.readyState === 'complete' && document.querySelectorAll('h2').length > 5")
            assert tab.value("document.querySelectorAll('table.figures tbody tr').length") == 2
            assert tab.value("document.querySelectorAll('article').length") > 6
            assert tab.value("[...document.images].filter((e) => e.naturalWidth > 0).length") > 6
            assert tab.value("document.querySelectorAll('.chart svg polyline').length") > 4
            wide = tab.value("document.documentElement.scrollWidth")
            assert wide <= (390 if phone else 1280)
            paper = tab.value("getComputedStyle(document.body).backgroundColor")
            assert paper == ("rgb(20, 22, 26)" if phone else "rgb(251, 251, 250)")  # the style is let through
        assert tab.value("window.caught === undefined")
        assert {url.split(":")[0] for url in tab.requests} == {"file", "data"}
        assert [url for url in tab.requests if url.startswith("file") and url != file.as_uri()] == []
        assert tab.console == []
