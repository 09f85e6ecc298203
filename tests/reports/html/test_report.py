"""The page of runs: whole, small, silent, and harmless whatever the data say."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from selfalign.commands import report as command
from selfalign.data.scenes import ensure_scenes
from selfalign.data.text.captions import read_captions
from selfalign.errors import UserError
from selfalign.functional.search import Hits
from selfalign.reports.comparison.resampling import image_weights, interval, ratio_intervals
from selfalign.reports.curves import Panel
from selfalign.reports.html.album import Album
from selfalign.reports.html.charts import line_chart
from selfalign.reports.html.contents import report
from selfalign.reports.html.hardest import hardest
from selfalign.reports.html.page import page
from selfalign.reports.html.strata import bins, strata
from selfalign.runs.answers_file import ANSWERS, save_answers
from selfalign.runs.reading import read_runs
from selfalign.runs.typed import command_of
from tests.reports.html.made_reports import IMAGES, full_run, hostile_data
from tests.runs.made_runs import ranked, write_run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    return full_run(tmp_path_factory.mktemp("runs") / "<i>first", data)


class Read(HTMLParser):
    """Tags, and every attribute that could fetch or run something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.fetched: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]


def text_of(runs: list[Path], **options: Path) -> str:
    return page(report(read_runs(runs), **options), "selfalign report <b>", "1.0")


def test_the_page_runs_and_fetches_nothing_whatever_the_data_say(run: Path) -> None:
    text = text_of([run])
    read = Read(text)
    assert len(text.encode()) < 5e6
    assert read.tags.isdisjoint({"script", "iframe", "object", "embed", "form", "i", "base"})
    assert read.handlers == []
    assert all(re.match(r"#\w+$|data:(,|image/(jpeg|webp);base64,)", address) for address in read.fetched)
    assert "default-src &#39;none&#39;; style-src &#39;sha256-" in text
    assert "&lt;script&gt;window.caught = 1" in text
    assert text.count("data:image/webp") == 1  # the sheet that is none is left out
    assert text.count("data:image/jpeg") >= 8


def test_places_on_the_machine_are_not_shown(run: Path, data: Path) -> None:
    text = text_of([run])
    assert str(data.parent) not in text
    assert command_of(run) == "python train.py data.root=data 'seed='\"'\"'<b>1</b>'\"'\"''"


def test_runs_on_other_queries_get_a_table_of_their_own(run: Path, data: Path, tmp_path: Path) -> None:
    other = full_run(tmp_path / "other", data, seed=2)
    found = report(read_runs([run, other]))
    assert [len(group.tables[0].rows) for group in found.groups] == [1]  # two seeds of one setting
    elsewhere = full_run(tmp_path / "elsewhere", data, seed=1, split="dev")
    found = report(read_runs([run, elsewhere]))
    assert len(found.groups) == 2
    assert "not those that were evaluated" in found.groups[1].missing
    assert found.groups[1].captions == ()


def test_data_that_were_not_evaluated_are_refused_by_name(run: Path, data: Path) -> None:
    with pytest.raises(UserError, match="no features of split 'test'"):
        report(read_runs([run]), data=data / "images")
    with pytest.raises(UserError, match="is no folder"):
        report(read_runs([run]), images=data / "nowhere")


def test_kept_answers_show_what_came_first(run: Path, data: Path, tmp_path: Path) -> None:
    kept = full_run(tmp_path / "kept", data)
    rows = torch.arange(4)
    owners = torch.arange(5 * IMAGES) // 5
    lists = [Hits(rows.repeat(count, 1), torch.zeros(count, 4)) for count in (IMAGES, 5 * IMAGES)]
    save_answers(*lists, owners, kept / ANSWERS)
    group = report(read_runs([kept])).groups[0]
    assert all(len(query.first) == 4 for query in (*group.captions, *group.images))
    assert report(read_runs([run])).groups[0].captions[0].first == ()


def test_recall_by_regions_is_shown_where_their_number_varies(run: Path, data: Path, tmp_path: Path) -> None:
    assert [one.what for one in report(read_runs([run])).groups[0].strata] == []  # too few captions for bins
    varied = tmp_path / "varied"
    ensure_scenes(root=varied, seed=0, train=2, dev=1, test=80, progress=lambda line: None)
    regions = np.load(varied / "test_ims.npy").shape[1]
    np.save(varied / "test_num_regions.npy", np.where(np.arange(80) % 2, regions, regions - 4))
    texts = read_captions(varied / "test_caps.txt")
    folder = write_run(tmp_path / "run", results=[ranked(1, 0.3, 80)], texts=texts, data_root=str(varied))
    kinds = [one.what for one in report(read_runs([folder])).groups[0].strata]
    assert kinds == ["words of the caption", "regions of the image", "regions of the image"]


def test_the_command_writes_beside_the_run_and_ends_a_mistake_in_one_line(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["selfalign report", str(run)])
    assert command.main() == 0
    assert "selfalign report &#39;&lt;i&gt;first&#39;" in (run / "report.html").read_text()
    monkeypatch.setattr(sys, "argv", ["selfalign report", str(tmp_path)])
    assert command.main() == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_strata_equal_plain_counts_and_plain_draws() -> None:
    random = np.random.default_rng(0)
    owners = np.arange(40).repeat(5)
    values, ranks = random.integers(3, 20, 200), [random.integers(1, 15, 200) for _ in range(2)]
    found = strata(ranks, values, owners, draws=300, seed=4)
    assert sum(one.queries for one in found) == 200
    weights = image_weights(np.random.default_rng(np.random.SeedSequence([4, 3])), 300, 40)
    for one, (first, last) in zip(found, bins(values), strict=True):
        inside = (values >= first) & (values <= last)
        assert one.recalls[1] == pytest.approx(100 * np.mean([(rank <= 5)[inside].mean() for rank in ranks]))
        drawn = []
        for weight in weights:
            times = weight[owners[inside]]
            hits = np.mean([rank[inside] <= 5 for rank in ranks], axis=0)
            drawn.append(100 * (times * hits).sum() / times.sum())
        assert one.intervals[1] == pytest.approx(interval(np.array(drawn)))
    assert strata(ranks, np.full(200, 7), owners) == []


def test_ratio_intervals_leave_out_draws_without_queries() -> None:
    hits, counts = np.array([[1.0], [0.0]]), np.array([[1], [0]])
    assert ratio_intervals(hits, counts, 50, 0) == [(100.0, 100.0)]


def test_bins_hold_all_values_once_and_enough_of_them() -> None:
    values = np.random.default_rng(1).poisson(10, 1000)
    found = bins(values)
    assert [low for low, _ in found[1:]] > [high for _, high in found[:-1]]
    counts = [((values >= low) & (values <= high)).sum() for low, high in found]
    assert sum(counts) == 1000
    assert min(counts) >= 30
    assert len(found) <= 6


def test_the_hardest_are_hard_for_all_runs_and_one_an_image() -> None:
    one, other = np.array([50, 40, 900, 1]), np.array([50, 60, 1, 1])
    assert hardest([one, other], 9, np.array([0, 0, 1, 2])) == [0, 2]


@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0], [1e-5, 3.0], [float("nan"), 2.0], [float("nan")]])
def test_any_series_has_a_chart(values: list[float]) -> None:
    chart = line_chart(Panel("loss", "loss", {"loss": (list(range(len(values))), values)}))
    numbers = [float(part) for pair in chart.lines[0].points.split() for part in pair.split(",")]
    assert all(0 <= number <= chart.width for number in numbers)
    assert chart.y


def test_many_points_are_thinned_and_the_last_stays() -> None:
    steps = list(range(10_000))
    points = line_chart(Panel("loss", "loss", {"loss": (steps, [float(s) for s in steps])})).lines[0].points.split()
    assert len(points) < 300
    assert float(points[-1].split(",")[0]) == pytest.approx(428, abs=1)


def test_pictures_that_find_no_room_are_counted(tmp_path: Path) -> None:
    from PIL import Image

    album = Album(room=2000)
    flat = Image.new("RGB", (100, 100), "red")
    noisy = Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8))
    assert album.photograph(noisy, 300) is None
    assert album.photograph(flat, 50) is not None
    assert album.left_out == 1
