"""The check and the conversion as a user runs them: exit codes, nothing left behind."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from selfalign.commands import convert as convert_command
from selfalign.commands.check import main
from tests.conftest import write_scan_folder
from tests.data.test_conversion import line
from tests.starting.processes import ROOT, run, run_fresh


def arguments(folder: Path, *settings: str) -> tuple[str, ...]:
    vsrn = ("backbone=vsrn", "backbone.vocabulary.minimum_count=1")
    return ("data=precomputed", f"data.root={folder}", *vsrn, *settings)


@dataclass(frozen=True)
class Done:
    """What a command left."""

    code: object
    stdout: str


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """The command in this process."""

    def run_here(folder: Path, *settings: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["check", *arguments(folder, *settings)])
        with pytest.raises(SystemExit) as caught:
            main()
        return Done(caught.value.code, capsys.readouterr().out)

    return run_here


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_scan_folder(tmp_path / "scan", {"train": 30, "dev": 10, "test": 10})


def test_good_data_end_with_0_and_leave_nothing_behind(folder: Path) -> None:
    before = sorted(folder.parent.rglob("*"))
    done = run("-m", "selfalign.check", *arguments(folder, "--full"), cwd=folder.parent)
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert "usable by: camera vsrn linear linear_bert" in lines
    assert lines[-1] == "0 errors, 0 warnings"
    assert any("30 images, 4 regions of 10" in line for line in lines)
    assert any("% unknown" in line for line in lines)
    for name in ("features on disk", "a batch", "model", "test embeddings", "steps", "reading"):
        assert any(line.startswith(f"{name}: ") for line in lines)
    assert sorted(folder.parent.rglob("*")) == before


def test_all_errors_are_listed_and_end_with_1(check: Callable[..., Done], folder: Path) -> None:
    values = np.load(folder / "train_ims.npy")
    values[7, 1, 3] = np.nan
    np.save(folder / "train_ims.npy", values)
    (folder / "dev_ims.npy").write_bytes(b"")
    captions = (folder / "test_caps.txt").read_text().splitlines()
    captions[2] = ""
    (folder / "test_caps.txt").write_text("\n".join(captions) + "\n")
    done = check(folder)
    assert done.code == 1
    errors = [line for line in done.stdout.splitlines() if line.startswith("error ")]
    for part in ("image 7, region 1, column 3 is nan", "dev_ims.npy", "test_caps.txt: line 3 is empty"):
        assert any(part in line for line in errors), done.stdout
    assert "usable by: no model\n" in done.stdout
    assert f"{len(errors)} errors" in done.stdout


def test_boxes_that_the_backbone_does_not_read_are_no_errors(check: Callable[..., Done], folder: Path) -> None:
    boxes = np.load(folder / "dev_boxes.npy")
    boxes[3, 1, 2] = 900.0
    np.save(folder / "dev_boxes.npy", boxes)
    done = check(folder)
    assert done.code == 0
    assert "backbone=vsrn reads no boxes" in done.stdout
    assert "usable by: vsrn linear linear_bert\n" in done.stdout


@pytest.mark.parametrize(
    ("setting", "message"),
    [("data.batch_size=0", "batch_size"), ("data.boxes=metres", "data.boxes"), ("loss.ranking.margin=-1", "margin")],
)
def test_a_setting_that_training_refuses_is_refused(
    setting: str, message: str, check: Callable[..., Done], folder: Path
) -> None:
    code = check(folder, setting).code
    assert isinstance(code, str)
    assert message in code


def test_a_folder_of_photographs_that_training_refuses_is_an_error(check: Callable[..., Done], folder: Path) -> None:
    done = check(folder, "data.images=nowhere")
    assert done.code == 1
    assert any("is no folder" in line for line in done.stdout.splitlines() if line.startswith("error "))


def test_help_waits_for_no_library() -> None:
    code = "import sys, runpy; sys.argv = ['check', '--help']; runpy.run_module('selfalign.check', run_name='__main__')"
    done = run_fresh("-X", "importtime", "-c", code, cwd=ROOT)
    assert done.returncode == 0
    assert "--checksums" in done.stdout
    assert not [name for name in (" torch", " hydra", " numpy", " pytorch_lightning") if f"|{name}\n" in done.stderr]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("data.val_split=test",), "error all splits"),
        (("data.protocol=[coco_1k_5fold]",), "error test protocol"),
        (("--checksums",), "SHA256SUMS: cannot be read"),
    ],
)
def test_settings_that_no_run_accepts_are_errors(
    settings: tuple[str, ...], message: str, folder: Path, check: Callable[..., Done]
) -> None:
    done = check(folder, *settings)
    assert done.code == 1
    assert message in " ".join(done.stdout.split())


@pytest.mark.parametrize("settings", [("data=nothing",), ("+typo=1",), ("data.root",)])
def test_a_wrong_setting_is_one_line(settings: tuple[str, ...], folder: Path, check: Callable[..., Done]) -> None:
    code = check(folder, *settings).code
    assert isinstance(code, str)
    assert code.startswith("error: ")
    assert "\n" not in code


def test_the_built_in_data_need_not_be_there(check: Callable[..., Done], tmp_path: Path) -> None:
    done = check(tmp_path / "scenes", "data=scenes")
    assert done.code == 0
    assert "the run draws it first" in done.stdout
    assert not list(tmp_path.iterdir())


def test_the_conversion_makes_what_the_check_verifies(
    check: Callable[..., Done],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def convert(*words: str) -> None:
        monkeypatch.setattr(sys, "argv", ["convert", *words])
        convert_command.main()

    monkeypatch.chdir(tmp_path)
    for first, split in enumerate(("train", "dev", "test")):
        images = range(10 * first, 10 * first + 10)
        (tmp_path / f"{split}.tsv").write_bytes(b"".join(line(image) for image in images))
        (tmp_path / f"{split}.txt").write_text("".join(f"{900 + image}\n" for image in images))
        sizes = ("--regions", "3", "--width", "5", "--root", "made", "--split", split)
        convert(*("tsv", f"{split}.tsv", "--ids", f"{split}.txt"), *sizes)
        captions = [f"a dog of number {image} sees {word}" for image in images for word in "abcde"]
        (tmp_path / "made" / f"{split}_caps.txt").write_text("\n".join(captions) + "\n")
    done = check(tmp_path / "made", "--checksums")
    assert "error checksums" not in " ".join(done.stdout.split())
    assert done.stdout.count("is as written") == 12
    convert("float16", "made/dev_ims.npy", "half.npy")
    assert "largest rounding error" in capsys.readouterr().out
    again = run("-m", "selfalign.convert", "float16", "made/dev_ims.npy", "half.npy", cwd=tmp_path)
    assert again.returncode == 1
    assert again.stderr == "error: half.npy: exists already; remove it, or choose another name\n"
