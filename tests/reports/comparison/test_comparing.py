"""python -m selfalign.compare as a user runs it: figures, words, tables, charts, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
import statistics
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from selfalign.commands import compare as command
from selfalign.errors import UserError
from selfalign.functional.ranks import Tile
from selfalign.metrics.protocols import evaluate
from selfalign.reports.comparison.comparing import FIGURES, Comparison, compare
from selfalign.reports.comparison.comparison_table import markdown, probability, sentence, signed, span, text
from selfalign.reports.comparison.latex_table import latex
from selfalign.reports.comparison.resampling import bootstrap, holm, interval
from selfalign.runs.ranks_file import NAME
from selfalign.runs.reading import read_run, read_runs
from selfalign.runs.results import RECALLS
from tests.runs.made_runs import configuration, ranked, sweep, write_run
from tests.starting.processes import ROOT, run


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """CAMERA with and without SelfAlign, three seeds each; SelfAlign is better."""
    return sweep(tmp_path_factory.mktemp("runs"), gain=0.25)


@pytest.fixture(scope="module")
def compared(folders: list[Path]) -> Comparison:
    return compare(read_runs(folders), draws=2000)


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def five_thousand() -> Tile:
    image = torch.nn.functional.normalize(torch.randn(5000, 16, generator=torch.Generator().manual_seed(0)), dim=-1)
    noise = torch.randn(25_000, 16, generator=torch.Generator().manual_seed(1))
    caption = image.repeat_interleave(5, 0) + 0.3 * noise
    return lambda rows, columns: image[rows] @ caption[columns].mT


def test_figures_recomputed_from_ranks_equal_results_to_the_last_digit(tmp_path: Path) -> None:
    owners = torch.arange(25_000) // 5
    both = [evaluate(five_thousand(), owners, 5000, protocol) for protocol in ("full", "coco_1k_5fold")]
    folder = write_run(tmp_path / "coco", "data=coco", results=both)
    run, record = read_run(folder), results(folder)
    assert list(run.protocols) == ["full", "coco_1k_5fold"]
    for name, measured in run.protocols.items():
        own = record["protocols"][name]
        assert measured.figures["rsum"] == own["rsum"]
        for recall in RECALLS:
            assert measured.figures[recall] == own[recall[:3]][recall[4:]]
        shares = measured.hits.sum(axis=0) / np.array([5000] * 3 + [25_000] * 3)
        assert 100 * shares.sum() == pytest.approx(own["rsum"])
    assert run.protocols["full"].figures != run.protocols["coco_1k_5fold"].figures
    found = compare([run], draws=1000, protocol="coco_1k_5fold")
    assert "5 folds of 1,000 images" in text(found)
    assert "--protocol full" in text(found)


def test_the_table_shows_mean_and_sample_deviation_of_the_results(folders: list[Path], compared: Comparison) -> None:
    for summary, own in zip(compared.summaries, (folders[:3], folders[3:]), strict=True):
        records = [results(folder) for folder in own]
        for recall in RECALLS:
            values = [record[recall[:3]][recall[4:]] for record in records]
            figure = summary.figures[recall]
            assert (figure.mean, figure.deviation) == (statistics.fmean(values), statistics.stdev(values))
        low, high = summary.intervals["rsum"]
        assert low < statistics.fmean(record["rsum"] for record in records) < high
        assert set(summary.intervals) == set(FIGURES)


def test_settings_are_named_after_backbone_and_loss_and_the_original_network_is_the_baseline(
    compared: Comparison,
) -> None:
    assert [summary.setting.name for summary in compared.summaries] == ["camera baseline", "camera selfalign"]
    assert compared.baseline.name == "camera baseline"
    (one,) = compared.differences
    assert {line.split(":")[0] for line in one.differs} == {
        "loss.towers",
        "loss.concept.weight",
        "loss.context.weight",
    }


def test_a_planted_gain_is_said_in_one_sentence(compared: Comparison) -> None:
    (one,) = compared.differences
    assert one.interval[0] > 0
    pattern = (
        r"camera selfalign − camera baseline: \+\d+\.\d rsum, 95 % interval \d+\.\d to \d+\.\d "
        r"over images and seeds, p < 0\.001 over images, 3 seeds each, 60 images"
    )
    assert re.fullmatch(pattern, sentence(compared, one))
    shown = text(compared)
    for words in ("over seeds: p = 0.10 (3 against 3 can give no less than 0.1)", "K − 1 of K", "stays fixed"):
        assert words in shown


def test_the_same_seed_gives_the_same_words_and_another_does_not(folders: list[Path], compared: Comparison) -> None:
    again = compare(read_runs(folders), draws=2000)
    assert text(again) == text(compared)
    other = compare(read_runs(folders), draws=2000, seed=1)
    assert other.summaries[0].intervals != compared.summaries[0].intervals


def test_what_changes_no_model_makes_no_setting(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / "a", "data.workers=0", seed=1),
        write_run(tmp_path / "b", "data.workers=1", seed=2, signal=0.7),
    ]
    (summary,) = compare(read_runs(runs), draws=1000).summaries
    assert len(summary.setting.runs) == 2


def test_an_ensemble_is_a_setting_of_its_own(tmp_path: Path, folders: list[Path]) -> None:
    models = [{**configuration("loss=baseline"), "seed": seed} for seed in (1, 2)]
    together = write_run(tmp_path / "ensemble", models=models, signal=0.7)
    found = compare(read_runs([*folders[:2], together]), draws=1000)
    names = [summary.setting.name for summary in found.summaries]
    assert names == ["camera baseline", "ensemble of 2 camera baseline"]


def test_a_sweep_stands_for_all_of_its_jobs(tmp_path: Path, folders: list[Path], compared: Comparison) -> None:
    for folder in folders:
        job = tmp_path / "sweep" / folder.name
        shutil.copytree(folder, job)
        (job / ".hydra").mkdir()
        (job / ".hydra" / "overrides.yaml").write_text(f"- {folder.name.replace(',', chr(10) + '- ')}\n")
    runs = read_runs([tmp_path / "sweep", tmp_path / "sweep" / folders[0].name])
    assert compare(runs, draws=2000).differences[0].rsum == compared.differences[0].rsum
    (job / "results.json").unlink()
    with pytest.raises(UserError, match=r"1 of 6 jobs are not done, as loss=selfalign,seed=3 \(unfinished\)"):
        read_runs([tmp_path / "sweep"])


def test_the_baseline_can_be_chosen_by_words_or_by_a_run(folders: list[Path]) -> None:
    runs = read_runs(folders)
    for against in ("selfalign", "camera selfalign", str(folders[4])):
        (one,) = compare(runs, draws=1000, against=against).differences
        assert (one.baseline.name, one.rsum < 0) == ("camera selfalign", True)


def refused(runs: list[Path], **options: str | int) -> str:
    with pytest.raises(UserError) as caught:
        compare(read_runs(runs), **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_does_not_compare_is_refused(tmp_path: Path, folders: list[Path]) -> None:
    assert "fits several settings" in refused(folders, against="camera")
    assert "names no setting" in refused(folders, against="vsrn")
    assert "not evaluated under coco_1k_5fold" in refused(folders, protocol="coco_1k_5fold")
    assert "--draws" in refused(folders, draws=10)
    assert "--seed" in refused(folders, seed=-1)
    smaller = write_run(tmp_path / "smaller", results=[ranked(1, 0.6, images=50)])
    assert "other captions (test, 50 images)" in refused([folders[0], smaller])
    reworded = write_run(tmp_path / "reworded", texts=[f"other {line}" for line in range(300)])
    assert "only runs on the same queries compare" in refused([folders[0], reworded])
    shutil.copytree(folders[0], tmp_path / "copy")
    assert "a copy is no second seed" in refused([folders[0], tmp_path / "copy"])
    assert "no such folder" in refused([tmp_path / "nothing"])
    (tmp_path / "empty").mkdir()
    assert "expected a run or a sweep" in refused([tmp_path / "empty"])
    (tmp_path / "empty" / "config.yaml").write_text("seed: 1\n")
    assert "unfinished" in refused([tmp_path / "empty"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("results.json", b"{", "not JSON"),
        ("results.json", b"[" * 100_000, "not JSON"),
        ("results.json", b"[]", "expected named values"),
        ("results.json", b'{"models": [{}], "protocols": {}, "padding": "masked", "split": "test"}', "damaged"),
        ("results.json", b'{"models": 3, "protocols": 4, "padding": "masked", "split": "test"}', "damaged"),
        ("results.json", b"{}", "earlier version"),
        (NAME, b"PK\x03\x04", "damaged"),
        (NAME, None, "earlier version"),
    ],
)
def test_a_damaged_run_is_one_line(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    folder = write_run(tmp_path / "run")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    assert message in refused([folder])


def test_ranks_of_another_evaluation_are_refused(tmp_path: Path, folders: list[Path]) -> None:
    folder = tmp_path / "run"
    shutil.copytree(folders[0], folder)
    shutil.copy(folders[1] / NAME, folder / NAME)
    assert "do not belong together" in refused([folder])


def test_markdown_tables_have_the_same_cells_in_every_row(compared: Comparison) -> None:
    rows = [line for line in markdown(compared).splitlines() if line.startswith("|")]
    tables = [[row for row in rows if row.count("|") == count] for count in (11, 7)]
    assert [len(table) for table in tables] == [4, 3]
    assert len(rows) == 7
    assert "± " in tables[0][2]


def test_latex_is_balanced_and_escaped(compared: Comparison) -> None:
    shown = latex(compared)
    begun, ended = (re.findall(rf"\\{word}{{(\w+)}}", shown) for word in ("begin", "end"))
    assert sorted(begun) == sorted(ended) == ["table", "table", "tabular", "tabular"]
    assert shown.count("{") == shown.count("}")
    for block in re.findall(r"\\begin{tabular}{(\w+)}(.*?)\\end{tabular}", shown, re.DOTALL):
        rows = [line for line in block[1].splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
        assert {row.count(" & ") + 1 for row in rows} == {len(block[0])}
    body = "\n".join(line for line in shown.splitlines() if not line.startswith("% "))
    assert not re.search(r"(?<!\\)[%#]", body)
    assert body.isascii()


def test_latex_marks_the_best_and_the_second_of_each_column_and_has_a_short_caption(compared: Comparison) -> None:
    shown = latex(compared)
    table = shown[shown.index(r"\begin{table}") :].partition(r"\end{table}")[0]
    assert table.count(r"\textbf{") == 7 + 1  # six recalls, their sum, the caption's word
    assert table.count(r"\underline{") == 7 + 1
    (better,) = (line for line in table.splitlines() if line.startswith("camera selfalign &"))
    assert better.count(r"\textbf{") == 7
    (caption,) = re.findall(r"\\caption{(.*)}", table)
    assert len(caption) < 200
    assert "seeds" in caption


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        (signed(3.14), "+3.1"),
        (signed(-0.26), "−0.3"),
        (signed(-0.04), "0.0"),
        (span((-1.24, -0.01)), "−1.2 to 0.0"),
        (span((-10.04, 3)), "−10.0 to 3.0"),
        (probability("p", 0.0004), "p < 0.001"),
        (probability("p", 0.0042), "p = 0.004"),
        (probability("p", 0.2), "p = 0.20"),
    ],
)
def test_figures_are_written_as_in_papers(found: str, shown: str) -> None:
    assert found == shown


def test_the_command_writes_tables_and_charts(
    tmp_path: Path, folders: list[Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chart, listing = tmp_path / "chart.png", tmp_path / "table.tex"
    runs = [str(folder) for folder in folders]
    arguments = ["compare", *runs, "--draws", "1000", "--latex", "--out", str(listing), "--chart", str(chart)]
    monkeypatch.setattr(sys, "argv", arguments)
    command.main()
    assert capsys.readouterr().out == ""
    assert r"\begin{table}" in listing.read_text()
    assert chart.read_bytes().startswith(b"\x89PNG")
    for wrong, message in (
        (["--chart", str(tmp_path / "chart.txt")], "expected a name that ends in"),
        (["--chart", str(tmp_path / "no" / "chart.png")], "cannot be written"),
        (["--out", str(tmp_path / "no" / "table")], "cannot be written"),
        (["--against", "x"], "names no setting"),
    ):
        monkeypatch.setattr(sys, "argv", ["compare", *runs, "--draws", "1000", *wrong])
        with pytest.raises(SystemExit, match=message) as caught:
            command.main()
        assert str(caught.value).startswith("error: ")


def test_the_command_ends_a_mistake_in_one_line_and_a_failure(tmp_path: Path) -> None:
    done = run("-m", "selfalign.compare", str(tmp_path / "nowhere"), cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"error: run {tmp_path / 'nowhere'}: no such folder"]


def test_p_values_of_several_settings_are_corrected_by_holm(tmp_path: Path) -> None:
    folders = [
        write_run(tmp_path / str(width), f"backbone.width={width}", signal=0.6 + gain, seed=1)
        for width, gain in ((64, 0.0), (128, 0.02), (256, 0.03), (512, 0.04))
    ]
    found = compare(read_runs(folders), draws=2000).differences
    assert len(found) == 3
    assert [one.corrected for one in found] == holm([one.p for one in found])
    assert any(one.corrected > one.p for one in found)


def test_an_interval_is_that_of_paired_draws_of_the_same_images(folders: list[Path], compared: Comparison) -> None:
    (difference,) = compared.differences
    settings = [difference.setting, difference.baseline]
    captions = read_runs(folders)[0].captions_per_image
    order = [summary.setting for summary in compared.summaries]
    drawn = bootstrap([setting.hits for setting in order], captions, 2000, 0)
    one, other = (drawn[[s.name for s in order].index(setting.name)][:, -1] for setting in settings)
    assert difference.interval == interval(one - other)
    unpaired = interval(one - np.random.default_rng(0).permutation(other))
    width = difference.interval[1] - difference.interval[0]
    assert unpaired[1] - unpaired[0] > 1.05 * width


def test_the_learning_rate_makes_a_setting(tmp_path: Path) -> None:
    same = write_run(tmp_path / "same", seed=8)
    other = write_run(tmp_path / "rate", "training.learning_rate=0.007", seed=9)
    assert len(compare(read_runs([same, other]), draws=1000).summaries) == 2
