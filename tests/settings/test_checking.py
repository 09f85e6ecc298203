"""What comes out of a check is complete and typed, whatever way it went in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from selfalign.commands.composing import composed
from selfalign.errors import UserError
from selfalign.settings import (
    TrainingRun,
    checked,
    every_key,
    group,
    is_published,
    matters,
    nearest,
    resumable,
    setting,
)
from selfalign.settings.keys import walk


@dataclass(frozen=True)
class Inner:
    """A group."""

    rate: float = setting(0.5, above=0, below=1)


@dataclass(frozen=True)
class Outer:
    """Everything that a setting can be."""

    flag: bool = setting(True)
    count: int = setting(3, at_least=1)
    text: str = setting("a")
    several: list[int] = setting([1])
    either: int | list[int] | str = setting(1)
    perhaps: float | None = setting(None)
    inner: Inner = group()
    absent: Inner | None = group()
    later: int = setting(2, older=1)
    unknown: int = setting(0, may_be_unknown=True)

    def __post_init__(self) -> None:
        if self.count == 13:
            raise ValueError(f"count: expected no bad luck, got {self.count}")


@pytest.mark.parametrize("word", ["no", "No", "off", "false", "False", False])
def test_no_is_false(word: Any) -> None:
    assert checked({"flag": word}, Outer)["flag"] is False


@pytest.mark.parametrize(("line", "path"), [("loss.ranking.hardest=no", ("loss", "ranking", "hardest")),
                                           ("compile=off", ("compile",)), ("data.resident=no", ("data", "resident")),
                                           ("backbone.bert.dropout=No", ("backbone", "bert", "dropout"))])  # fmt: skip
def test_no_is_false_on_the_command_line(line: str, path: tuple[str, ...]) -> None:
    value: Any = composed(["data=f30k", line])
    for name in path:
        value = value[name]
    assert value is False


def test_zero_is_a_seed_and_whole_numbers_stay_whole() -> None:
    config = composed(["seed=0", "loss.concept.weight=1", "backbone.width=512"])
    assert config["seed"] == 0
    assert type(config["loss"]["concept"]["weight"]) is float
    assert type(config["backbone"]["width"]) is int


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"count": "7"}, {"count": 7}),
        ({"count": 2.0}, {"count": 2}),
        ({"text": 2017}, {"text": "2017"}),
        ({"several": 5}, {"several": [5]}),
        ({"several": (1, 2)}, {"several": [1, 2]}),
        ({"either": [0, 1]}, {"either": [0, 1]}),
        ({"either": "auto"}, {"either": "auto"}),
        ({"either": 2}, {"either": 2}),
        ({"perhaps": "5e-4"}, {"perhaps": 5e-4}),
        ({"perhaps": None}, {"perhaps": None}),
        ({"absent": {}}, {"absent": {"rate": 0.5}}),
        ({"absent": None}, {"absent": None}),
        ({"count": "???"}, {"count": 3}),
    ],
)
def test_values_get_their_types(values: dict[str, Any], expected: dict[str, Any]) -> None:
    found = checked(values, Outer)
    assert {name: found[name] for name in expected} == expected
    assert [type(found[name]) for name in expected] == [type(value) for value in expected.values()]


def test_what_is_missing_is_filled_in() -> None:
    complete = {"flag": True, "count": 3, "text": "a", "several": [1], "either": 1, "perhaps": None}
    rest = {"inner": {"rate": 0.5}, "absent": None, "later": 2, "unknown": 0}
    assert checked({}, Outer) == {**complete, **rest}


def test_a_default_list_belongs_to_one_result() -> None:
    checked({}, Outer)["several"].append(9)
    assert checked({}, Outer)["several"] == [1]


@pytest.mark.parametrize(
    "values", [{"flag": 1}, {"count": True}, {"count": "1.5"}, {"text": True}, {"text": 1.5}, {"perhaps": float("nan")},
               {"several": ["a"]}, {"inner": {"rate": 1}}, {"inner": None}, {"count": 13}, {"either": 1.5}]
)  # fmt: skip
def test_nothing_is_guessed(values: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"^{next(iter(values))}"):
        checked(values, Outer)


def test_records_keep_the_behaviour_of_their_version() -> None:
    assert checked({}, Outer)["later"] == 2
    assert checked({}, Outer, record=True)["later"] == 1
    assert checked({"later": 5}, Outer, record=True)["later"] == 5
    assert checked({"unknown": None}, Outer, record=True)["unknown"] is None
    with pytest.raises(UserError, match="unknown: expected a whole number, got null"):
        checked({"unknown": None}, Outer)


def test_a_name_alone_stands_for_a_row() -> None:
    one = checked({"data": {"root": "x"}, "loss": {"ranking": "hinge"}}, TrainingRun)
    other = checked({"data": {"root": "x"}, "loss": {"ranking": {"name": "hinge"}}}, TrainingRun)
    assert one == other == checked({"data": {"root": "x"}}, TrainingRun)


def test_checking_twice_changes_nothing() -> None:
    for backbone in ("camera", "vsrn"):
        config = composed([f"backbone={backbone}"])
        assert checked(config, TrainingRun) == checked(config, TrainingRun, record=True) == config


def test_every_setting_says_what_it_means() -> None:
    for key, field in walk(TrainingRun):
        assert field.rule.doc or field.group is not None, key


def test_one_schema_tells_what_may_differ() -> None:
    assert set(resumable()) >= {"strategy", "logger", "training.epochs", "data.workers", "data.resident", "data.root"}
    assert not set(resumable()) & {"seed", "training.learning_rate", "backbone.width", "loss"}
    assert [key for key in ("seed", "logger.wandb.project", "data.workers") if matters(key)] == []
    assert all(map(matters, ("training.learning_rate", "loss.ranking.margin", "never.heard.of")))
    assert [key for key in ("data.root", "strategy.devices") if is_published(key)] == []
    assert is_published("strategy.precision")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("trainng.epochs", "training.epochs"), ("epochs", "training.epochs"), ("loss.margin", "loss.ranking.margin"),
     ("learning_rate", "training.learning_rate"), ("zzz", None)],
)  # fmt: skip
def test_a_misspelt_key_names_the_nearest(typed: str, meant: str | None) -> None:
    assert nearest(typed, every_key()) == meant
