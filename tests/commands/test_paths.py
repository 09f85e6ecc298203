"""Any path can be typed as it is, in every setting that takes one."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from selfalign.commands.paths import checkpoint_list, expand_paths, how_to_type, quoted_paths
from selfalign.errors import UserError
from selfalign.runs.folder import checkpoint_file

NAMES = (
    *("a=b,c~d", "x y", "it's", 'q"uote', "back\\slash", "end\\", "end\\\\", 'a\\"b', '\\\\"', "a[b]", "{x}", "(y)"),
    *("é ü", "#no", "a:b", "a%b", "*", "?", "a;b&c|d", "$b", "tab\tx", "seed=1,loss=concept~ba1a"),
)


def meant(argument: str) -> object:
    return OverridesParser.create().parse_override(argument).value()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["data.root", "init_from", "hydra.run.dir", "+backbone.bert.source"])
def test_a_path_means_itself(key: str, name: str) -> None:
    (argument,) = quoted_paths([f"{key}=/data/{name}"])
    assert meant(argument) == f"/data/{name}"


@pytest.mark.parametrize("name", NAMES)
def test_checkpoints_are_one_path_or_several_with_or_without_brackets(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (name, "other"):
        Path(folder).mkdir()
    for typed in (name, f"[{name}]"):
        assert meant(quoted_paths([f"checkpoints={typed}"])[0]) == [name]
    for typed in (f"{name},other", f"[{name},other]", f"[{name}, other]"):
        assert meant(quoted_paths([f"checkpoints={typed}"])[0]) == [name, "other"]
    assert meant(quoted_paths([f"checkpoints={name},gone"])[0]) == [name, "gone"]


def test_what_needs_no_quotes_and_what_is_quoted_stays_as_it_was_typed() -> None:
    typed = ["data.root=/a/b", "init_from=null", "data.root='a,b'", "seed=1,2", "checkpoints=['a=b.ckpt']", "-m"]
    assert quoted_paths(typed[:-1]) == typed[:-1]
    assert quoted_paths(["-m", "data.root=a,b"]) == ["-m", "data.root=a,b"]  # two values of a sweep


def test_a_home_is_found_wherever_the_setting_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert meant(quoted_paths(["data.root=~/data"])[0]) == "/home/me/data"
    assert meant(quoted_paths(["checkpoints=[~/a.ckpt,~/b.ckpt]"])[0]) == ["/home/me/a.ckpt", "/home/me/b.ckpt"]
    plain = {"data": {"root": "~/x", "images": None}, "init_from": "~/y", "backbone": {"bert": {"source": "~/z"}}}
    expand_paths(plain)
    assert plain["data"]["root"] == "/home/me/x"
    assert plain["init_from"] == "/home/me/y"
    assert plain["backbone"]["bert"]["source"] == "/home/me/z"


def test_what_hydra_cannot_read_is_one_line_with_quotes_that_work() -> None:
    line = how_to_type("logger.wandb.name=a b=[c")
    _, quoted = line.split(": ", 1)
    (argument,) = shlex.split(quoted)
    assert meant(argument) == "a b=[c"
    assert "hydra.cc" not in line
    assert "name=value" in how_to_type("nonsense")


@pytest.mark.parametrize("value", [None, [], "", [1], {"a": 1}, [""]])
def test_no_checkpoint_says_how_to_name_one(value: object) -> None:
    with pytest.raises(UserError, match=r"python eval.py checkpoints=RUN"):
        checkpoint_list(value)


def test_a_run_s_folder_names_its_best_checkpoint(tmp_path: Path) -> None:
    best = tmp_path / "run" / "checkpoints" / "best.ckpt"
    best.parent.mkdir(parents=True)
    best.touch()
    assert checkpoint_file(tmp_path / "run") == checkpoint_file(best.parent) == checkpoint_file(best) == best
    with pytest.raises(UserError, match="no such file"):
        checkpoint_file(tmp_path / "nowhere.ckpt")
    with pytest.raises(UserError, match="a folder without checkpoints"):
        checkpoint_file(tmp_path)
    with pytest.raises(UserError, match="no name of a file") as caught:
        checkpoint_file(Path("n" * 5000))
    assert len(str(caught.value)) < 300
