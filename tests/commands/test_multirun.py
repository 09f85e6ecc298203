"""Sweeps under Hydra: what is planned, and the end of the process that runs one."""

from __future__ import annotations

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from selfalign.commands import hydra_app
from selfalign.commands.multirun import _planned


def planned(arguments: list[str], params: dict[str, str] | None = None, sweeper: str | None = None) -> list[list[str]]:
    target = sweeper or f"{BasicSweeper.__module__}.{BasicSweeper.__qualname__}"
    hydra = {"sweeper": {"_target_": target, "params": params}, "overrides": {"task": arguments}}
    return _planned(OmegaConf.create({"hydra": hydra}))


@pytest.mark.parametrize(
    "arguments",
    [
        ["seed=1,2,3", "loss.concept.weight=0.5,1"],
        ["seed=range(1,4)", "+x.y='a b','c,d'", "backbone=vsrn"],
        ["a=[1,2],[3]", "b={x:1},{y:2}", "c=", "~d"],
        ["seed=1,2", "seed=3"],
        ["seed=choice(1,2)", "a=tag(t,choice(1,2))", "b=sort(3,1,2)"],
    ],
)
def test_the_plan_is_what_hydra_runs(arguments: list[str]) -> None:
    params = {"training.epochs": "1,2"}
    overrides = OverridesParser.create().parse_overrides(
        [f"{key}={value}" for key, value in params.items()] + arguments
    )
    (expected,) = BasicSweeper.split_arguments(overrides, None)
    assert planned(arguments, params) == expected


def test_nothing_is_planned_where_a_search_decides() -> None:
    assert planned(["loss=glob(*)"]) == planned(["a=interval(0,1)"], sweeper="some.OptunaSweeper") == []


@pytest.mark.parametrize(
    ("ending", "line"),
    [(SystemExit(1), ""), (KeyboardInterrupt(), "interrupted"), (None, ""), (ValueError("bug"), None)],
)
def test_however_a_sweep_ends_it_says_what_is_left(
    ending: BaseException | None, line: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lightning turns Ctrl-C in training into an exit; outside of training it stays an interruption."""

    def main() -> None:
        if ending is not None:
            raise ending

    monkeypatch.setattr(hydra_app, "end_sweep", lambda: "3 jobs left")
    with pytest.raises((SystemExit, ValueError)) as raised:
        hydra_app.launch(main)
    assert "3 jobs left\n" in capsys.readouterr().err
    if line is None:
        assert raised.value is ending
    else:
        assert isinstance(raised.value, SystemExit)
        assert raised.value.code == (line or 1)
